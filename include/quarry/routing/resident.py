"""The index versions that one replica holds in memory: the live one of each corpus, the candidate and the one before.

A request takes the `Resident` of its corpus once and stays with it, whatever the route does meanwhile; so a query never
meets vectors of another space, and a promotion never fails a request. A version answers only once it is loaded: until
then the route before stays in force here. Versions are loaded on a thread of their own, so that those that answer
keep following the log.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import Route, find_route
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import NotFound, QuarryError
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.retriever import QueryEncoder, Retriever, Serving
from include.quarry.routing.choice import choose_version
from include.quarry.routing.opening import Follows, OpenVersion, opens_here
from include.quarry.specs import EmbeddingSpec

logger = logging.getLogger(__name__)
_IDLE_S = 900.0
_OPEN_AGAIN_S = 10.0
_GRACE_S = 30.0
_PASSING = (QuarryError, SQLAlchemyError, OSError)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One index version in memory, with what keeps it fresh."""

    retriever: Retriever
    follower: Follows
    scratch: Path


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
    """The versions of the corpora that are asked about. Thread-safe; `follow` runs in one background thread."""

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

        Versions are held in this process, unless `open_version` does otherwise.
        """
        self._database = database
        self._lake = lake
        self._scratch = scratch
        self._encoder_of = encoder_of
        self._interval_s = interval_s
        self._always = always
        self._open_version = open_version or opens_here(database, lake)
        self._residents: dict[str, Resident] = {}
        self._used_at: dict[str, float] = {}
        self._loading = threading.Lock()
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open-index")
        self._opening: dict[tuple[str, str], Future[Loaded]] = {}
        self._leaving: list[tuple[float, Loaded]] = []
        self._open_again_at: dict[str, float] = {}
        self._stopped = threading.Event()

    def find(self, corpus: str) -> Resident | None:
        """What answers for a corpus, if its live version is loaded already; never blocks."""
        resident = self._residents.get(corpus)
        if resident is not None:
            self._used_at[corpus] = time.monotonic()
        return resident

    def load(self, corpus: str) -> Resident:
        """What answers for a corpus, loading its live version first where needed. Raises `NotFound` without a route."""
        with self._loading:
            present = self.find(corpus)
            if present is not None:
                return present
            route, versions = self._read(corpus)
            live = self._open(next(version for version in versions if version.version_id == route.live_version))
            self._residents[corpus] = Resident(route, {route.live_version: live})
            self._used_at[corpus] = time.monotonic()
            return self._residents[corpus]

    def watermarks(self) -> dict[str, int]:
        """How far the live version of each resident corpus has applied the log."""
        return {corpus: each.live.index.watermark for corpus, each in list(self._residents.items())}

    def follow(self) -> None:
        """Keep every resident at the head of the log and on its route, until `stop`."""
        while not self._stopped.wait(self._interval_s):
            for corpus in {*self._always, *self._residents}:
                try:
                    self._refresh(corpus)
                except _PASSING:  # a bug ends the thread; the health check sees it
                    logger.exception("corpus %s could not follow the log; trying again", corpus)
            self._let_go(time.monotonic() - _GRACE_S)
        self._opener.shutdown()
        self._let_go(time.monotonic())

    def stop(self) -> None:
        """End `follow`."""
        self._stopped.set()

    def _refresh(self, corpus: str) -> None:
        resident = self._residents.get(corpus)
        if resident is None:
            if self._has_route(corpus):
                self.load(corpus)
            return
        if corpus not in self._always and time.monotonic() - self._used_at[corpus] > _IDLE_S:
            self._drop(corpus, resident)
            return
        started = time.monotonic()
        resident = self._rerouted(corpus, resident)
        for version_id in tuple(resident.versions):
            if (held := resident.versions.get(version_id)) is not None:
                _step(version_id, held)
                resident = self._rerouted(corpus, resident)  # a rollback does not wait until all have followed
        self._stopped.wait(min(time.monotonic() - started, self._interval_s))  # following takes half the time at most

    def _rerouted(self, corpus: str, before: Resident) -> Resident:
        """The resident with the present route, as far as its versions are loaded; those off the route are let go."""
        route, wanted = self._read(corpus)
        self._forget_unwanted(corpus, wanted)
        ready = {version.version_id: self._ready(version, before) for version in wanted}
        versions = {version_id: loaded for version_id, loaded in ready.items() if loaded is not None}
        if route.live_version not in versions:  # the version before keeps answering
            route = replace(before.route, canary_version=None, shadow_version=None)
            versions[route.live_version] = before.versions[route.live_version]
        if (route, versions) == (before.route, before.versions):
            return before
        if route.live_version != before.route.live_version:
            _step(route.live_version, versions[route.live_version])  # what is gone from the one before stays gone
            logger.info("corpus %s: %s is live after %s", corpus, route.live_version, before.route.live_version)
        self._residents[corpus] = after = Resident(route, versions)
        now = time.monotonic()
        self._leaving += [(now, before.versions[gone]) for gone in before.versions.keys() - versions.keys()]
        return after

    def _let_go(self, until: float) -> None:
        """Discard what left its route before a time. Requests that began on it have a while to finish."""
        for left_at, loaded in [each for each in self._leaving if each[0] <= until]:
            self._leaving.remove((left_at, loaded))
            _discard(loaded)

    def _forget_unwanted(self, corpus: str, wanted: list[IndexVersion]) -> None:
        """What was being loaded when it left the route."""
        names = {version.version_id for version in wanted}
        for key in [key for key, each in self._opening.items() if key[0] == corpus and key[1] not in names]:
            if self._opening[key].done():
                opening = self._opening.pop(key)
                if opening.exception() is None:
                    self._leaving.append((time.monotonic(), opening.result()))

    def _ready(self, version: IndexVersion, resident: Resident) -> Loaded | None:
        """The version, if it is loaded; else it is on its way."""
        version_id, key = version.version_id, (version.corpus, version.version_id)
        if version_id in resident.versions:
            return resident.versions[version_id]
        opening = self._opening.get(key)
        if opening is None:
            if time.monotonic() >= self._open_again_at.get(version_id, 0.0):
                self._opening[key] = self._opener.submit(self._open, version)
            return None
        if not opening.done():
            return None
        del self._opening[key]
        try:
            return opening.result()
        except _PASSING:
            logger.exception("index version %s could not be loaded; trying again", version_id)
            self._open_again_at[version_id] = time.monotonic() + _OPEN_AGAIN_S
            return None

    def _open(self, version: IndexVersion) -> Loaded:
        scratch = self._scratch / f"{version.version_id}-{time.monotonic_ns()}"
        scratch.mkdir(parents=True)
        with ExitStack() as on_failure:
            on_failure.callback(shutil.rmtree, scratch, ignore_errors=True)
            index, follower = self._open_version(version, scratch)
            follower.step()
            retriever = Retriever(Serving(self._encoder_of(version.spec.embedding), index))
            on_failure.pop_all()
        return Loaded(retriever, follower, scratch)

    def _has_route(self, corpus: str) -> bool:
        with self._database.read() as connection:
            return find_route(connection, corpus) is not None

    def _read(self, corpus: str) -> tuple[Route, list[IndexVersion]]:
        """The corpus's route, and those of its versions that have a snapshot."""
        with self._database.read() as connection:
            route = find_route(connection, corpus)
            if route is None:
                raise NotFound(
                    f"corpus {corpus!r} has no live index version; ingest documents, then run reindex_corpus"
                )
            versions = [find_version(connection, version_id) for version_id in route.followed]
            return route, [version for version in versions if version.snapshot]

    def _drop(self, corpus: str, resident: Resident) -> None:
        del self._residents[corpus]
        logger.info("corpus %s unloaded after %d s without a query", corpus, _IDLE_S)
        for held in resident.versions.values():
            _discard(held)


def _step(version_id: str, held: Loaded) -> None:
    """One version that cannot follow, for want of its server say, does not hold up the others."""
    try:
        held.follower.step()
    except _PASSING:
        logger.exception("index version %s could not follow the log; trying again", version_id)


def _discard(loaded: Loaded) -> None:
    """Unlink the scratch folder; searches still running keep the files they have open or mapped."""
    loaded.retriever.close()
    shutil.rmtree(loaded.scratch, ignore_errors=True)
