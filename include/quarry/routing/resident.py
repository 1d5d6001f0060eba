"""The index versions that one replica holds in memory: the live one of each corpus, the candidate and the one before.

A request takes the `Resident` of its corpus once and stays with it, whatever the route does meanwhile; so a query never
meets vectors of another space, and a promotion never fails a request. A version answers only once it is loaded: until
then the route before stays in force here.

Three threads share the work, so that none waits for the other: one looks at the routes many times a second, one follows
the log, one loads versions (see `Loader`). A rollback is taken however much there is to follow or to load.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from include.quarry.cache.flights import Flights
from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import Route, find_route, list_routes
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import NotFound, Unavailable
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.retriever import QueryEncoder, Retriever
from include.quarry.routing.arrivals import Arrivals
from include.quarry.routing.choice import choose_version
from include.quarry.routing.loading import PASSING, Loaded, Loader
from include.quarry.routing.opening import OpenVersion, opens_here
from include.quarry.specs import EmbeddingSpec

logger = logging.getLogger(__name__)
_IDLE_S = 900.0
_GRACE_S = 30.0
_LOOK_S = 0.05  # a look at the routes reads one small table: a third of a millisecond of processor time
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Resident:
    """A corpus that is answered for: a route, and the loaded versions, the live one always among them."""

    route: Route
    versions: dict[str, Loaded]

    @property
    def live(self) -> Retriever:
        """The retriever of the live version."""
        return self.versions[self.route.live_version].retriever

    def retriever_of(self, version_id: str | None) -> Retriever | None:
        """The retriever of a version, if it is loaded here."""
        held = None if version_id is None else self.versions.get(version_id)
        return None if held is None else held.retriever

    def choose(self, tenant: str, query: str) -> str:
        """The version that answers this request."""
        chosen = choose_version(self.route, tenant, query)
        return chosen if chosen in self.versions else self.route.live_version


class ResidentIndexes:
    """The versions of the corpora that are asked about. Thread-safe; between `start` and `stop` they are kept fresh."""

    def __init__(
        self,
        database: Database,
        lake: VectorLake,
        scratch: Path,
        encoder_of: Callable[[EmbeddingSpec], QueryEncoder],
        *,
        interval_s: float,
        always: Sequence[str] = (),
        open_version: OpenVersion | None = None,
    ) -> None:
        """The corpora in `always` are loaded as soon as they have a route, and never unloaded.

        Versions are held in this process, unless `open_version` does otherwise. The log is asked every `interval_s`.
        """
        self._database = database
        self._interval_s = interval_s
        self._always = always
        self._loader = Loader(scratch, encoder_of, open_version or opens_here(database, lake))
        self.arrivals = Arrivals()
        """Told after every step along the log."""
        self._residents: dict[str, Resident] = {}
        self._seen: dict[str, tuple[int, float]] = {}  # a route's revision, and when it is due for another look
        self._used_at: dict[str, float] = {}
        self._failed: dict[str, tuple[IndexVersion, float]] = {}  # what could not be loaded, and when to try again
        self._loading = threading.Lock()
        self._loads = Flights[Resident]()
        self._stopped = threading.Event()
        self._threads = (
            threading.Thread(target=self._follow, name="follower", daemon=True),
            threading.Thread(target=self._watch, name="routes", daemon=True),
        )

    def start(self) -> None:
        """Begin to follow the log and the routes."""
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        """Whether the log and the routes are still followed; a bug ends that."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End what `start` began, and wait for it."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._loader.close()

    def find(self, corpus: str) -> Resident | None:
        """What answers for a corpus, if its live version is loaded already; never blocks."""
        resident = self._residents.get(corpus)
        if resident is not None:
            self._used_at[corpus] = time.monotonic()
        return resident

    def load(self, corpus: str) -> Resident:
        """What answers for a corpus, loading its live version first where needed. Raises `NotFound` without a route,
        and `Unavailable` when the version cannot be loaded, whatever is wrong with it: who asks cannot mend that."""
        with self._loading:
            present = self.find(corpus)
            if present is not None:
                return present
            with self._database.read() as connection:
                route = find_route(connection, corpus)
                if route is None:
                    raise NotFound(
                        f"corpus {corpus!r} has no live index version; ingest documents, then run reindex_corpus"
                    )
                version = find_version(connection, route.live_version)
            live = self._open(version)
            self._used_at[corpus] = time.monotonic()
            self._residents[corpus] = resident = Resident(route, {route.live_version: live})
            return resident

    async def loaded(self, corpus: str) -> Resident:
        """`find`, or else `load`: on one thread, however many ask meanwhile. To be used on one event loop."""
        resident = self.find(corpus)
        if resident is None:
            resident = (await self._loads.join(corpus, lambda: asyncio.to_thread(self.load, corpus))).value
        return resident

    def watermarks(self) -> dict[str, int]:
        """How far the live version of each resident corpus has applied the log."""
        return {corpus: each.live.index.watermark for corpus, each in list(self._residents.items())}

    def _watch(self) -> None:
        """Keep every resident on its route; no other thread puts one in another's place, or takes it away."""
        pause_s = _LOOK_S
        while not self._stopped.wait(pause_s):
            try:
                with self._database.read() as connection:
                    routes = list_routes(connection)
                for corpus, resident in list(self._residents.items()):
                    self._look(resident, routes[corpus])
                pause_s = _LOOK_S
            except PASSING:
                logger.exception("the routes cannot be followed; trying again")
                pause_s = _LOOK_AGAIN_S

    def _look(self, resident: Resident, route: Route) -> None:
        seen, due_at = self._seen.get(route.corpus, (0, 0.0))
        if route.corpus not in self._always and time.monotonic() - self._used_at[route.corpus] > _IDLE_S:
            self._unload(route.corpus)
        elif route.revision != seen or time.monotonic() >= due_at:
            self._reroute(resident, route)

    def _reroute(self, before: Resident, route: Route) -> None:
        """Put the route in force, as far as its versions are loaded; those off the route are let go."""
        corpus = route.corpus
        versions = {version_id: held for version_id, held in before.versions.items() if version_id in route.followed}
        absent = self._with_snapshot(set(route.followed) - versions.keys())
        settled = self._loader.keep_only(corpus, {version.version_id for version in absent})
        for version in absent:
            if (loaded := self._loader.ready(version)) is not None:
                versions[version.version_id] = loaded
        settled = settled and all(version.version_id in versions for version in absent)
        self._seen[corpus] = route.revision, math.inf if settled else time.monotonic() + self._interval_s
        if route.live_version not in versions:  # the version before keeps answering
            route = replace(before.route, canary_version=None, shadow_version=None)
            versions[route.live_version] = before.versions[route.live_version]
        if route.live_version != before.route.live_version:
            _take_over(versions[route.live_version], before.versions[before.route.live_version])
            logger.info("corpus %s: %s is live after %s", corpus, route.live_version, before.route.live_version)
        self._residents[corpus] = Resident(route, versions)
        for gone in before.versions.keys() - versions.keys():
            self._loader.leave(before.versions[gone])

    def _unload(self, corpus: str) -> None:
        self._seen.pop(corpus, None)
        self._loader.keep_only(corpus, ())
        for held in self._residents.pop(corpus).versions.values():
            self._loader.leave(held)
        logger.info("corpus %s unloaded after %d s without a query", corpus, _IDLE_S)

    def _follow(self) -> None:
        """Keep every resident at the head of the log."""
        while not self._stopped.wait(self._interval_s):
            for corpus in {*self._always, *self._residents}:
                try:
                    self._refresh(corpus)
                except PASSING:
                    logger.exception("corpus %s could not follow the log; trying again", corpus)
                self.arrivals.tell()
            self._loader.let_go(time.monotonic() - _GRACE_S)

    def _refresh(self, corpus: str) -> None:
        resident = self._residents.get(corpus)
        if resident is None:
            if self._has_route(corpus):
                self.load(corpus)
            return
        started = time.monotonic()
        # One look for all, and the live version last: so who may come to answer in its place is not behind it.
        live = resident.route.live_version
        versions = sorted(resident.versions.items(), key=lambda each: each[0] == live)
        with self._database.read() as connection:
            steps = [(version_id, held.follower.look(connection)) for version_id, held in versions]
        for version_id, step in steps:
            if (now := self._residents.get(corpus)) and version_id in now.versions:  # else it left meanwhile
                _take(version_id, step, PASSING if version_id == live else (Exception,))
        self._stopped.wait(min(time.monotonic() - started, self._interval_s))  # following takes half the time at most

    def _open(self, version: IndexVersion) -> Loaded:
        """What has just failed is not tried again for each query."""
        failed, rests_until = self._failed.get(version.corpus, (None, 0.0))
        cause: Exception | None = None
        if failed != version or time.monotonic() >= rests_until:
            try:
                return self._loader.open(version)
            except PASSING as error:
                logger.exception("index version %s could not be loaded", version.version_id)
                self._failed[version.corpus] = version, time.monotonic() + _LOOK_AGAIN_S
                cause = error
        raise Unavailable(
            f"index version {version.version_id}, live for corpus {version.corpus!r}, could not be loaded; ask again "
            "shortly, or have the operator see why in the log"
        ) from cause

    def _has_route(self, corpus: str) -> bool:
        with self._database.read() as connection:
            return find_route(connection, corpus) is not None

    def _with_snapshot(self, version_ids: Collection[str]) -> list[IndexVersion]:
        """Those of the versions that can be loaded."""
        if not version_ids:
            return []
        with self._database.read() as connection:
            versions = [find_version(connection, version_id) for version_id in version_ids]
        return [version for version in versions if version.snapshot]


def _take(version_id: str, step: Callable[[], int], passing: tuple[type[Exception], ...]) -> None:
    """One version that cannot follow, for want of its server say, does not hold up the others. Whatever is wrong with a
    version beside the live one must not end the process that answers."""
    try:
        step()
    except passing:
        logger.exception("index version %s could not follow the log; trying again", version_id)


def _take_over(held: Loaded, before: Loaded) -> None:
    """What is gone from the version before stays gone."""
    try:
        held.follower.take_over(before.follower)
    except PASSING:
        logger.exception("index version %s answers without a last look at the log", held.retriever.index.version)
