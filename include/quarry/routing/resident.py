"""The index versions that one replica holds in memory: loaded on first use, kept at the head of the log, swapped whole.

A request takes the retriever of its corpus once and stays with it, whatever the route does meanwhile; so a query never
meets vectors of another space, and a promotion never fails a request.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion, find_route, find_version
from include.quarry.errors import NotFound, QuarryError
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.retriever import QueryEncoder, Retriever, Serving
from include.quarry.routing.follower import Follower
from include.quarry.specs import EmbeddingSpec

logger = logging.getLogger(__name__)
_IDLE_S = 900.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """One index version in memory, with what keeps it fresh."""

    serving: Serving
    follower: Follower
    scratch: Path


@dataclass(slots=True)
class Resident:
    """A corpus that is answered for: its retriever stays, what it serves is swapped. Times are monotonic."""

    retriever: Retriever
    loaded: Loaded
    used_at: float


class ResidentIndexes:
    """The live versions of the corpora that are asked about. Thread-safe; `follow` runs in one background thread."""

    def __init__(
        self,
        database: Database,
        lake: VectorLake,
        scratch: Path,
        encoder_of: Callable[[EmbeddingSpec], QueryEncoder],
        *,
        interval_s: float,
        always: Sequence[str] = (),
    ) -> None:
        """The corpora in `always` are loaded as soon as they have a route, and never unloaded."""
        self._database = database
        self._lake = lake
        self._scratch = scratch
        self._encoder_of = encoder_of
        self._interval_s = interval_s
        self._always = always
        self._residents: dict[str, Resident] = {}
        self._loading = threading.Lock()
        self._stopped = threading.Event()

    def find(self, corpus: str) -> Retriever | None:
        """The retriever of a corpus, if its live version is loaded already; never blocks."""
        resident = self._residents.get(corpus)
        if resident is None:
            return None
        resident.used_at = time.monotonic()
        return resident.retriever

    def load(self, corpus: str) -> Retriever:
        """The retriever of a corpus, loading its live version first where needed. Raises `NotFound` without a route."""
        with self._loading:
            present = self.find(corpus)
            if present is not None:
                return present
            loaded = self._open(self._live_version(corpus))
            self._residents[corpus] = Resident(Retriever(loaded.serving), loaded, time.monotonic())
            return self._residents[corpus].retriever

    def watermarks(self) -> dict[str, int]:
        """How far each resident corpus has applied the log."""
        return {corpus: each.loaded.serving.index.watermark for corpus, each in list(self._residents.items())}

    def follow(self) -> None:
        """Keep every resident at the head of the log and on its route, until `stop`."""
        while not self._stopped.wait(self._interval_s):
            for corpus in {*self._always, *self._residents}:
                try:
                    self._refresh(corpus)
                except (QuarryError, SQLAlchemyError, OSError):  # a bug ends the thread; the health check sees it
                    logger.exception("corpus %s could not follow the log; trying again", corpus)

    def stop(self) -> None:
        """End `follow`."""
        self._stopped.set()

    def _refresh(self, corpus: str) -> None:
        resident = self._residents.get(corpus)
        if resident is None:
            if self._has_route(corpus):
                self.load(corpus)
            return
        if corpus not in self._always and time.monotonic() - resident.used_at > _IDLE_S:
            self._drop(corpus, resident)
            return
        version, before = self._live_version(corpus), resident.loaded
        if version.version_id != before.serving.index.version:
            resident.loaded = self._open(version)
            resident.retriever.serve(resident.loaded.serving)
            logger.info(
                "corpus %s: %s is live in place of %s", corpus, version.version_id, before.serving.index.version
            )
            _discard(before)
            return
        started = time.monotonic()
        resident.loaded.follower.step()
        self._stopped.wait(min(time.monotonic() - started, self._interval_s))  # following takes half the time at most

    def _open(self, version: IndexVersion) -> Loaded:
        scratch = self._scratch / f"{version.version_id}-{time.monotonic_ns()}"
        scratch.mkdir(parents=True)
        index = Index.load(Path(version.snapshot), scratch)
        follower = Follower(self._database, self._lake, index, version.corpus)
        follower.step()
        return Loaded(Serving(self._encoder_of(version.spec.embedding), index), follower, scratch)

    def _has_route(self, corpus: str) -> bool:
        with self._database.read() as connection:
            return find_route(connection, corpus) is not None

    def _live_version(self, corpus: str) -> IndexVersion:
        with self._database.read() as connection:
            route = find_route(connection, corpus)
            if route is None:
                raise NotFound(
                    f"corpus {corpus!r} has no live index version; ingest documents, then run reindex_corpus"
                )
            return find_version(connection, route.live_version)

    def _drop(self, corpus: str, resident: Resident) -> None:
        del self._residents[corpus]
        logger.info("corpus %s unloaded after %d s without a query", corpus, _IDLE_S)
        _discard(resident.loaded)


def _discard(loaded: Loaded) -> None:
    """Unlink the scratch folder; searches still running keep the files they have open or mapped."""
    shutil.rmtree(loaded.scratch, ignore_errors=True)
