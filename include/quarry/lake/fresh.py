"""The fresh tail: texts that users send and streams bring are embedded at once, a few at a time, inline in SQL."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.versions import list_versions
from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import QuarryError, Unavailable
from include.quarry.lake.claims import claim
from include.quarry.lake.pending import PendingQuery, PendingText, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.lake.work import Work
from include.quarry.specs import EmbeddingSpec, IndexSpec

logger = logging.getLogger(__name__)
_LEASE_S = 20.0  # many times what a batch takes, and not more than its texts may wait when their embedder dies
_LOOK_AGAIN_S = 30.0
_GATHER_S = 0.05  # what comes in a moment is embedded together
BATCH_TEXTS, BATCH_TOKENS = 256, 8192
"""What one batch holds at most: a slow machine needs two seconds for it, which a lease outlasts by far."""
_Target = tuple[str, str, str]
"""Corpus, fingerprint of its chunker, fingerprint of its space."""
_Mark = tuple[int, datetime]
"""A `seq` behind which a look may begin, and when the look from the beginning was that it follows from."""


class FreshTail:
    """Embeds uploads and streams at once; what schedules brought is the backfill's, until a grace time is over."""

    def __init__(
        self,
        database: Database,
        lake: VectorLake,
        embedder_of: Callable[[EmbeddingSpec], Embedder],
        owner: str,
        *,
        bulk_grace_s: float,
        batch_size: int = BATCH_TEXTS,
        work: Work | None = None,
        streams: Iterable[str] = (),
    ) -> None:
        """`streams` are the feeds that are read as streams here, those too that a schedule may read as well. A batch is
        what is there, up to `batch_size` texts and `BATCH_TOKENS`: an engine is the faster the more short texts it is
        given, and each batch costs the catalog some transactions."""
        self._database = database
        self._lake = lake
        self._embedder_of = embedder_of
        self._owner = owner
        self._bulk_grace = timedelta(seconds=bulk_grace_s)
        self._batch_size = batch_size
        self._streams = tuple(streams)
        self._work = work or Work()
        self._done_until: dict[_Target, tuple[int, datetime]] = {}
        self._passed: dict[tuple[_Target, bool], _Mark] = {}  # up to there nothing was left to us
        self._clean: dict[tuple[_Target, bool], _Mark] = {}  # up to there nothing waited at all
        self._stopped = threading.Event()
        self._woken = threading.Event()

    def run(self, interval_s: float) -> None:
        """Embed whatever arrives, until `stop`: at once after `wake`, and what nobody tells of within `interval_s`."""
        while not self._stopped.is_set():
            if self._woken.wait(interval_s):
                self._stopped.wait(_GATHER_S)
            self._woken.clear()
            try:
                while self.step():
                    pass
            except (QuarryError, SQLAlchemyError, OSError):  # a bug ends the thread, and the health check sees it
                logger.exception("the fresh tail could not be embedded; trying again")

    def wake(self) -> None:
        """Something was accepted; from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        self._woken.set()

    def step(self) -> int:
        """Embed one batch for every index version in use; gives how many texts that was."""
        with self._database.read() as connection:
            versions = [version for version in list_versions(connection) if version.in_use]
            heads = {version.corpus: head(connection, version.corpus) for version in versions}
        wanted = {(version.corpus, version.spec.chunker, version.spec.embedding): version.spec for version in versions}
        return sum(self._served(corpus, spec, heads[corpus]) for (corpus, *_), spec in wanted.items())

    def _served(self, corpus: str, spec: IndexSpec, newest: int) -> int:
        """A spec that cannot be served, for want of its model say, must not stop the others."""
        try:
            return self._serve(corpus, spec, newest)
        except Unavailable:
            raise
        except QuarryError:
            logger.exception("corpus %s cannot be embedded for index spec %s", corpus, spec.fingerprint)
            return 0

    def _serve(self, corpus: str, spec: IndexSpec, newest: int) -> int:
        self._embedder_of(spec.embedding)  # loads the engine ahead, so that the first upload need not wait for it
        target = (corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)
        now = datetime.now(UTC)
        done_until, looked_at = self._done_until.get(target, (-1, now))
        if done_until == newest and now - looked_at < timedelta(seconds=_LOOK_AGAIN_S):
            return 0  # nothing was accepted since the corpus had no pending text
        texts = self._pending(target, self._owner, newest)
        if texts:
            count = self._embed(texts, spec.embedding)
            self._work.add(corpus, "embedded", count)
            return count
        if self._pending(target, None, newest):  # another owner is at it, and may die
            self._passed.clear()
        else:
            self._done_until[target] = (newest, now)
        return 0

    def _embed(self, texts: list[PendingText], spec: EmbeddingSpec) -> int:
        hashes = [text.text_hash for text in texts]
        mine = set(claim(self._database, spec.fingerprint, hashes, self._owner, _LEASE_S))
        batch = [text for text in texts if text.text_hash in mine]
        if batch:
            vectors = self._embedder_of(spec).encode([text.text for text in batch])
            self._lake.put_inline([text.text_hash for text in batch], vectors, claimed_by=self._owner)
        return len(batch)

    def _pending(self, target: _Target, claimant: str | None, newest: int) -> list[PendingText]:
        now = datetime.now(UTC)
        common = PendingQuery(*target, claimant=claimant, limit=self._batch_size)
        uploads = replace(common, fresh=True, streams=self._streams)
        overdue = replace(common, changed_until=now - self._bulk_grace)
        with self._database.read() as connection:
            for query in (uploads, overdue):
                if texts := self._look(connection, target, query, newest, now):
                    return texts
        return []

    def _look(
        self, connection: sa.Connection, target: _Target, query: PendingQuery, newest: int, now: datetime
    ) -> list[PendingText]:
        """Begin where earlier looks found the first pending text, else each would pass all that is embedded. What
        comes to be pending behind that, as when its grace is over, is found by the next look from the beginning."""
        key = target, query.fresh
        begin = _standing(self._clean.get(key), now)
        if query.claimant is not None:
            begin = max(begin, _standing(self._passed.get(key), now))
        after, began_at = begin
        texts = pending_texts(connection, replace(query, after=after))
        if query.claimant is None:
            self._clean[key] = texts[0].seq - 1 if texts else newest, began_at
        elif texts:
            self._passed[key] = texts[0].seq - 1, began_at
        return list(_first(texts, BATCH_TOKENS))


def _standing(mark: _Mark | None, now: datetime) -> _Mark:
    """The mark, while it is young enough."""
    if mark is None or now - mark[1] > timedelta(seconds=_LOOK_AGAIN_S):
        return 0, now
    return mark


def _first(texts: Iterable[PendingText], tokens: int) -> Iterator[PendingText]:
    """As many as have so many tokens; one at least."""
    taken = 0
    for text in texts:
        if taken and taken + text.tokens > tokens:
            return
        taken += text.tokens
        yield text
