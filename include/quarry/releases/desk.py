"""The verbs of people over generation releases; the command line and the HTTP API share them. All of them block.

Each move is one transaction. What MLflow's registries should hold is told to them afterwards: they remember, and decide
nothing, so that a move is made whether they answer or not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog import generation_routes as routes
from include.quarry.catalog.database import opened
from include.quarry.catalog.generation_routes import ReleaseRoute
from include.quarry.catalog.releases import Release, create_release, find_release, list_releases
from include.quarry.errors import Conflict, InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.composition import check_model, default_release
from include.quarry.generation.prompt import PromptTemplate, estimate_tokens
from include.quarry.generation.protocol import DEFAULT_RELEASE, TIERS, Tier
from include.quarry.generation.writing import LIMITS
from include.quarry.releases.registries import tell_registries
from include.quarry.settings import Settings

Moved = dict[str, Any]
"""The `route` after a move, and in `mlflow` why the registries do not hold it yet; empty where they do."""


class ReleaseDesk:
    """The releases of one installation. `tell` has the registries brought up to date, and says why that failed."""

    def __init__(self, settings: Settings, tell: Callable[[Settings], str] = tell_registries) -> None:
        self._settings = settings
        self._tell = tell

    def listing(self, tier: Tier | None = None) -> list[dict[str, Any]]:
        """What is seen of each release, newest first, the settings' own last."""
        with self._reading() as connection:
            present, now = list_releases(connection, tier), routes.list_release_routes(connection)
        present += [default_release(each, self._settings) for each in ([tier] if tier else TIERS)]
        return [_view(release, now[release.tier]) for release in present]

    def show(self, release_id: str) -> dict[str, Any]:
        """One release with its prompt. Raises `NotFound`."""
        with self._reading() as connection:
            release = find_release(connection, release_id)
            route = routes.find_release_route(connection, release.tier)
        return {**_view(release, route), "template": release.template}

    def create(
        self, tier: Tier, *, model: str | None = None, template: str | None = None, release_id: str | None = None
    ) -> dict[str, Any]:
        """Register a release; what is not given is as the settings say. Gives it, with `mlflow` as in `Moved`.

        Raises `InvalidInput` for an unknown model or what is no prompt, and `Conflict` for a model that was not fetched
        or an id that another one has.
        """
        default = default_release(tier, self._settings)
        prompt = _prompt(tier, default.template if template is None else template)
        model = model or default.model
        try:
            check_model(tier, model, self._settings)
        except Misconfigured as error:
            raise InvalidInput(str(error)) from error
        except Unavailable as error:  # trying again does not help: somebody has to fetch it
            raise Conflict(str(error)) from error
        named = release_id or f"{tier}-{prompt.version}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        with self._writing() as connection:
            what = {"model": model, "prompt_version": prompt.version, "template": prompt.text}
            create_release(connection, named, tier=tier, **what)
        return {**self.show(named), "mlflow": self._tell(self._settings)}

    def canary(self, release_id: str, share: float, *, unchecked: bool = False) -> Moved:
        """Let a release answer a share of its tier's requests. Raises `NotFound`, `InvalidInput` or `Conflict`."""
        with self._writing() as connection:
            _require_pass(connection, release_id, unchecked)
            route = routes.try_release(connection, release_id, share)
        return self._moved(route)

    def promote(self, release_id: str, *, unchecked: bool = False) -> Moved:
        """Let a release answer for its tier. Raises `NotFound`, or `Conflict` when it has failed, or the gate has not
        let it pass against the live one."""
        with self._writing() as connection:
            _require_pass(connection, release_id, unchecked)
            route = routes.promote_release(connection, release_id)
        return self._moved(route)

    def roll_back(self, tier: Tier, reason: str) -> Moved:
        """Let the release answer that was live before. Raises `Conflict` when there is none to go back to."""
        with self._writing() as connection:
            route = routes.roll_release_back(connection, tier, reason)
        return self._moved(route)

    def refuse(self, release_id: str, reason: str) -> Moved:
        """Take a release off its way. Raises `NotFound`, or `Conflict` when it is live."""
        with self._writing() as connection:
            route = routes.refuse_release(connection, release_id, reason)
        return self._moved(route)

    def _moved(self, route: ReleaseRoute) -> Moved:
        return {"route": asdict(route), "mlflow": self._tell(self._settings)}

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with opened(self._settings.catalog_url) as database, database.read() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with opened(self._settings.catalog_url) as database, database.write() as connection:
            yield connection


def _prompt(tier: Tier, template: str) -> PromptTemplate:
    """The prompt, if it leaves the passages half of what the tier reads."""
    prompt, room = PromptTemplate.parse(template), LIMITS[tier].prompt_tokens // 2
    if (tokens := estimate_tokens(prompt.text)) > room:
        raise InvalidInput(f"the prompt takes about {tokens} tokens; {tier} has room for {room} beside the passages")
    return prompt


def _require_pass(connection: sa.Connection, release_id: str, unchecked: bool) -> None:
    release = find_release(connection, release_id)
    live = routes.find_release_route(connection, release.tier).live_release
    if not unchecked and release.passed_against != live:
        raise Conflict(
            f"the gate has not let {release_id!r} pass against {live!r}, which is live; run `python -m evaluation gate "
            f"--release {release_id}`, or go without by `unchecked`"
        )


def _view(release: Release, route: ReleaseRoute) -> dict[str, Any]:
    """The fields of a release but its prompt's wording; `share` of the requests that it answers, and whether a rollback
    would make it live."""
    canary = route.canary_share if route.canary_release else 0.0
    shares = {route.canary_release: canary, route.live_release: 1.0 - canary}
    fields = asdict(release)
    del fields["template"]
    if release.release_id == DEFAULT_RELEASE and route.live_release != DEFAULT_RELEASE:
        fields["state"] = "retired"
    share = shares.get(release.release_id, 0.0)
    return {**fields, "share": share, "previous": route.previous_release == release.release_id}
