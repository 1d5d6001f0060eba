"""The releases that one replica of a tier holds, and which of them writes an answer.

The route is looked at five times a second. A release that has another prompt for a model that is here writes at
once; one with another model waits until that is loaded and has said a word, and the release before goes on meanwhile.
One that cannot is given up in the catalog, with the reason. Who is writing keeps the model alive, wherever the route
has gone meanwhile.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import ReleaseRoute, find_release_route, give_release_up
from include.quarry.catalog.releases import Release, find_release
from include.quarry.errors import QuarryError, Unavailable
from include.quarry.generation.protocol import DEFAULT_RELEASE, LanguageModel, Message
from include.quarry.generation.writing import Writer
from include.quarry.routing.choice import choose_release

logger = logging.getLogger(__name__)
_LOOK_S = 0.2
_LOOK_AGAIN_S = 1.0
_LOAD_AGAIN_S = 10.0
_TRIES = 3
"""Times that a release may be unavailable, for a server that starts or a machine that is busy, until it is given up."""
_ANY_WORD = (Message("user", "Say yes."),)
OpenRelease = Callable[[Release, LanguageModel | None], Writer]
"""A release that can write, over a model that is loaded already, or else over its own; blocks while that is loaded."""


class HeldReleases:
    """See `model_tier.Writers`. To be used on one event loop; between `begin` and `stop` it keeps to the route."""

    def __init__(self, database: Database, default: Release, open_release: OpenRelease) -> None:
        self._database = database
        self._default = default
        self._open_release = open_release
        self._known: dict[str, Release] = {DEFAULT_RELEASE: default}
        self._held: dict[str, Writer] = {}
        self._route = ReleaseRoute(default.tier)
        self._bringing: dict[str, asyncio.Task[None]] = {}
        self._bring_again_at: dict[str, float] = {}
        self._tries: Counter[str] = Counter()
        self._following: asyncio.Task[None] | None = None

    async def live(self) -> str:
        """The release that is live now, as the catalog has it."""
        return (await asyncio.to_thread(self._read)).live_release

    async def begin(self) -> None:
        """Load the live release, then follow the route. Raises what loading raises; nothing can be chosen before."""
        route = await asyncio.to_thread(self._read)
        self._held[route.live_release] = await self._load(self._known[route.live_release])
        self._route = replace(route, canary_release=None)
        self._following = asyncio.create_task(self._follow())

    def is_alive(self) -> bool:
        """Whether the route is still followed; a bug ends that."""
        return self._following is not None and not self._following.done()

    async def stop(self) -> None:
        """Follow the route no more."""
        tasks = [task for task in (self._following, *self._bringing.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def choose(self, tenant: str, question: str) -> Writer:
        """The release that writes this answer: the live one, or the canary where it is loaded."""
        live = self._held[self._route.live_release]
        return self._held.get(choose_release(self._route, tenant, question), live)

    def check(self) -> None:
        """Raise `Unavailable` when an engine hangs."""
        for writer in self._held.values():
            writer.check()

    def _read(self) -> ReleaseRoute:
        """The route; what its releases are never changes, so it is read once."""
        with self._database.read() as connection:
            route = find_release_route(connection, self._default.tier)
            for release_id in route.followed:
                if release_id not in self._known:
                    self._known[release_id] = find_release(connection, release_id)
        return route

    async def _follow(self) -> None:
        while True:
            try:
                self._keep_to(await asyncio.to_thread(self._read))
                pause_s = _LOOK_S
            except (QuarryError, SQLAlchemyError, OSError):
                logger.exception("the route of %s cannot be followed; trying again", self._default.tier)
                pause_s = _LOOK_AGAIN_S
            await asyncio.sleep(pause_s)

    def _keep_to(self, route: ReleaseRoute) -> None:
        """Put the route in force, as far as its releases are loaded; those off the route are let go."""
        for release_id in route.followed:
            if release_id not in self._held:
                self._bring(self._known[release_id])
        before = self._route.live_release
        if route.live_release in self._held:
            self._route = route
        else:  # the release before goes on
            self._route = replace(self._route, canary_release=None)
        if self._route.live_release != before:
            logger.info("%s: %s is live after %s", route.tier, route.live_release, before)
        wanted = {*route.followed, self._route.live_release}
        self._held = {release_id: held for release_id, held in self._held.items() if release_id in wanted}

    def _bring(self, release: Release) -> None:
        release_id = release.release_id
        if (model := self._model_of(release)) is not None:
            self._held[release_id] = self._open_release(release, model)
        elif release_id not in self._bringing and time.monotonic() >= self._bring_again_at.get(release_id, 0.0):
            self._bringing[release_id] = asyncio.create_task(self._load_beside(release))

    def _model_of(self, release: Release) -> LanguageModel | None:
        """The model of the release, where another one has it loaded."""
        same = (held.model for name, held in self._held.items() if self._known[name].model == release.model)
        return next(same, None)

    async def _load(self, release: Release) -> Writer:
        writer = await asyncio.to_thread(self._open_release, release, None)
        if release.release_id != DEFAULT_RELEASE:
            said = [delta async for delta in writer.model.stream(_ANY_WORD, max_tokens=1)]
            if not said:
                raise Unavailable(f"model {release.model!r} says nothing; look after its engine")
        return writer

    async def _load_beside(self, release: Release) -> None:
        """Load a release while another one answers. One that is asked for and cannot be is given up."""
        try:
            self._held[release.release_id] = await self._load(release)
        except Exception as error:  # whatever is wrong with it, another release answers meanwhile
            logger.exception("release %s cannot be loaded", release.release_id)
            self._bring_again_at[release.release_id] = time.monotonic() + _LOAD_AGAIN_S
            self._tries[release.release_id] += 1
            passing = isinstance(error, Unavailable) and self._tries[release.release_id] < _TRIES
            if release.release_id != DEFAULT_RELEASE and not passing:
                await asyncio.to_thread(self._give_up, release, f"its model cannot be loaded: {error}")
        finally:
            del self._bringing[release.release_id]

    def _give_up(self, release: Release, reason: str) -> None:
        """Unless it only waits to be gone back to: what is wrong may be over by then."""
        with self._database.write() as connection:
            route = find_release_route(connection, release.tier)
            if release.release_id in (route.live_release, route.canary_release):
                give_release_up(connection, release.release_id, reason)
