"""Generation releases: a model with a prompt, by which one tier writes its answers, and how far it stands on its way.

    created -> canary -> live -> retired      failed: taken off the way, with the reason

What a release is never changes; only its state, its verdict and the reason do. `default` is no row: it is what the
settings and the prompt file say, and answers wherever no release was promoted.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.quarry.catalog.schema import generation_releases
from include.quarry.errors import Conflict, NotFound
from include.quarry.generation.protocol import DEFAULT_RELEASE, Tier

State = Literal["created", "canary", "live", "retired", "failed"]


@dataclass(frozen=True, slots=True)
class Release:
    """A model and a prompt of one tier.

    `model` is read as the tier's setting is: a packaged name, a GGUF file, or the server's name for it. The version of
    the prompt is the beginning of its hash. `passed_against` is the release that the gate found this one not to be
    worse than; `reason` says why it failed or was taken back.
    """

    release_id: str
    tier: Tier
    model: str
    prompt_version: str
    template: str
    state: State
    passed_against: str | None
    created_at: datetime
    reason: str

    @property
    def taken_back(self) -> bool:
        """Whether it was live, and a rollback took it off."""
        return self.state == "retired" and self.reason != ""


def create_release(
    connection: sa.Connection, release_id: str, *, tier: Tier, model: str, prompt_version: str, template: str
) -> Release:
    """Register a release; asking again for the same one returns it.

    Raises `Conflict` when the id is taken by another one.
    """
    if release_id == DEFAULT_RELEASE:
        raise Conflict(f"{DEFAULT_RELEASE!r} is what the settings say; take another id")
    what = {"tier": tier, "model": model, "prompt_version": prompt_version, "template": template}
    is_it = generation_releases.c.release_id == release_id
    present = connection.execute(sa.select(generation_releases).where(is_it)).one_or_none()
    if present is None:
        row = {"release_id": release_id, **what, "state": "created", "created_at": datetime.now(UTC), "reason": ""}
        connection.execute(sa.insert(generation_releases).values(**row))
    elif {name: getattr(present, name) for name in what} != what:
        raise Conflict(f"release {release_id!r} exists with another model or prompt; take a new id")
    return find_release(connection, release_id)


def find_release(connection: sa.Connection, release_id: str) -> Release:
    """The release; raises `NotFound`."""
    is_it = generation_releases.c.release_id == release_id
    row = connection.execute(sa.select(generation_releases).where(is_it)).one_or_none()
    if row is None:
        raise NotFound(f"no release {release_id!r}; `python -m include.quarry releases list` shows those there are")
    return Release(**row._asdict())


def list_releases(connection: sa.Connection, tier: Tier | None = None) -> list[Release]:
    """Releases of one tier, or of all, newest first."""
    query = sa.select(generation_releases).order_by(generation_releases.c.created_at.desc())
    if tier is not None:
        query = query.where(generation_releases.c.tier == tier)
    return [Release(**row._asdict()) for row in connection.execute(query)]


def set_release_state(connection: sa.Connection, release_id: str, state: State, reason: str = "") -> None:
    """Move a release to a state. `default` has none."""
    _update(connection, release_id, state=state, reason=reason)


def note_verdict(connection: sa.Connection, release_id: str, passed_against: str | None) -> None:
    """Keep that the gate let the release pass against another one; None takes that back."""
    _update(connection, release_id, passed_against=passed_against)


def _update(connection: sa.Connection, release_id: str, **values: Any) -> None:
    is_it = generation_releases.c.release_id == release_id
    connection.execute(sa.update(generation_releases).where(is_it).values(**values))
