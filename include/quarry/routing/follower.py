"""A follower keeps one loaded index at the head of the log.

A long stretch of it, which a bulk load brings, takes many seconds. A replica applies it in parts, so that its other
versions and corpora are followed meanwhile; and what is deleted while it lasts does not wait for its end.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Protocol, TypeVar

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.updates import (
    Follow,
    Page,
    Stretch,
    Takes,
    everything,
    news,
    read_deletes,
    read_gone,
    read_rest,
    read_stretch,
)
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, DocumentUpdate, Vectors
from include.quarry.specs import IndexSpec

_CHUNKS_PER_BATCH = 8192  # 13 MB of vectors of 384 numbers, and as much again while they are gathered
_CHUNKS_PER_PART = 2048  # a third of a second
_PART_S = 0.2
_TURN_S = 0.2
_LITTLE = 500
_LOOK_AGAIN_S = 0.2
_LOOKS = 10  # a store that replicas share may be written to all the time
PATIENCE_S = 60.0
Seen = TypeVar("Seen")
Applied = Callable[[int, int], None]
"""Is told how many documents and chunks each batch had."""


class Followed(Protocol):
    """What the log is applied to: an index, or shards of one."""

    spec: IndexSpec

    @property
    def watermark(self) -> int:
        """The `seq` up to which it has applied the log."""
        ...

    def apply(self, updates: Sequence[DocumentUpdate], watermark: int) -> None:
        """Bring it to the updates' state, then the watermark to `watermark`, never back."""
        ...


class Follower:
    """Applies what the log has and the index has not, a page at a time, deletes first. One thread steps; another may
    call `take_over` meanwhile."""

    def __init__(
        self,
        database: Database,
        lake: VectorLake,
        index: Followed,
        corpus: str,
        *,
        takes: Takes = everything,
        applied: Applied | None = None,
        in_parts: bool = False,
    ) -> None:
        """With `in_parts` a look applies a part of what is much, and the next ones go on with it."""
        self._database = database
        self._lake = lake
        self._index = index
        self._follow = Follow(corpus, index.spec.chunker.fingerprint, index.spec.embedding.fingerprint)
        self._takes = takes
        self._applied = applied
        self._part_s = _PART_S if in_parts else math.inf
        self._most = _CHUNKS_PER_PART if in_parts else _CHUNKS_PER_BATCH
        self._turn = threading.RLock()
        self._waiting = 0
        self._under_way: Iterator[None] | None = None  # a stretch of which a part is applied
        self._begun = 0, 0  # what the log had when the last look was taken
        self._rid = 0, 0  # and when deletes alone were applied
        self._seen: tuple[int, int] | None = None  # and when the last one ended
        self._ahead: set[tuple[DocumentKey, int]] = set()  # applied while an earlier document still waited for vectors

    def step(self) -> int:
        """Apply everything that is ready; gives how many documents still wait for vectors."""
        while True:
            with self._database.read() as connection:
                apply = self.look(connection)
            waiting = apply()
            if self._under_way is None:
                return waiting

    def look(self, connection: sa.Connection) -> Callable[[], int]:
        """Read what is ready; calling what this gives applies it, as `step` does, or a part of it."""
        seen, gone = news(connection, self._follow), list[DocumentUpdate]()
        if (work := self._under_way) is not None:
            if seen[0] > self._begun[0]:
                gone = read_gone(connection, self._follow, self._begun[0])
            return partial(self._go_on, work, gone, seen)
        if seen == self._seen:
            return lambda: self._waiting
        stretch = read_stretch(connection, self._follow, self._index.watermark, self._ahead, self._takes)
        if stretch.page.rest is not None:  # what is gone may stand on a later page
            gone = read_gone(connection, self._follow, self._index.watermark)
            gone = [update for update in gone if (update.key, update.seq) not in self._ahead]
        return partial(self._go_on, self._applying(stretch, seen), gone, seen)

    def take_over(self, other: object) -> None:
        """Before the index answers in the place of what `other` follows: apply what it lacks, where that is little and
        no thread is at it.

        Else apply the deletes alone, for what is gone must not be shown again; the rest comes with the next steps.
        """
        if isinstance(other, Follower) and self._seen is not None and self._seen >= max(other._begun, other._rid):
            return
        if self._turn.acquire(timeout=_TURN_S):
            try:
                if self._under_way is None and self._is_near():
                    self.step()
                    return
            finally:
                self._turn.release()
        with self._database.read() as connection:
            seen = news(connection, self._follow)
            deletes = read_deletes(connection, self._follow, self._index.watermark)
        self._rid = seen
        self._remove(deletes)

    def catch_up(self, patience_s: float) -> int:
        """Step until all that was accepted before this call is applied, for `patience_s` at most; 0 when it is.

        Else it gives how many documents still wait for vectors. A corpus that never rests is caught up with too.
        """
        pause, deadline = threading.Event(), time.monotonic() + patience_s
        with self._database.read() as connection:
            goal = head(connection, self._follow.corpus)
        while (waiting := self.step()) and self._index.watermark < goal and time.monotonic() < deadline:
            pause.wait(_LOOK_AGAIN_S)
        return waiting if self._index.watermark < goal else 0

    def settled(self, look: Callable[[], Seen]) -> Seen:
        """What `look` gives, which needs the parts of the index to hold the same. A store that replicas share may be
        ahead of the others for a moment: then the log is followed once more. Raises `IncompleteIndex` when they still
        differ."""
        for _ in range(_LOOKS - 1):
            try:
                return look()
            except IncompleteIndex:
                self.step()
        return look()

    def _go_on(self, work: Iterator[None], gone: Sequence[DocumentUpdate], seen: tuple[int, int]) -> int:
        with self._turn:
            self._begun, self._under_way = seen, None  # after an error everything is read anew
            self._remove(gone)
            ends_at = time.monotonic() + self._part_s
            for _ in work:
                if time.monotonic() >= ends_at:
                    self._under_way = work
                    break
            return self._waiting

    def _applying(self, stretch: Stretch, seen: tuple[int, int]) -> Iterator[None]:
        """Applies a stretch, with a stop between one batch and the next."""
        ahead, watermark, begun = set(self._ahead), stretch.watermark, False
        for page in self._pages(stretch.page):
            for batch in _batches(page.updates, self._most):
                if begun:
                    yield
                begun = True
                self._index.apply(self._with_vectors(batch), self._index.watermark)
                if self._applied:
                    self._applied(len(batch), sum(len(update.chunks) for update in batch))
            if page.overtaken is not None:
                watermark = min(watermark, page.overtaken - 1)
            ahead |= {(update.key, update.seq) for update in page.updates if update.seq > watermark}
        self._index.apply([], watermark)
        self._ahead = {mark for mark in ahead if mark[1] > watermark}
        self._seen, self._waiting = seen, stretch.waiting

    def _remove(self, deletes: Sequence[DocumentUpdate]) -> None:
        if taken := [update for update in deletes if self._takes(update)]:
            self._index.apply(taken, self._index.watermark)

    def _pages(self, page: Page) -> Iterator[Page]:
        yield page
        while page.rest is not None:
            with self._database.read() as connection:
                page = read_rest(connection, self._follow, page, self._ahead, self._takes)
            yield page

    def _is_near(self) -> bool:
        """Whether the log has little news. The `seq` counts the changes of all corpora, so there may be less yet."""
        with self._database.read() as connection:
            return head(connection, self._follow.corpus) - self._index.watermark <= _LITTLE

    def _with_vectors(self, updates: Sequence[DocumentUpdate]) -> list[DocumentUpdate]:
        hashes = [chunk.text_hash for update in updates for chunk in update.chunks]
        if not hashes:
            return list(updates)
        values = self._lake.fetch(self._follow.fingerprint, hashes).values
        ends = list(accumulate(len(update.chunks) for update in updates))
        return [
            replace(update, vectors=Vectors(self._follow.fingerprint, values[end - len(update.chunks) : end]))
            for update, end in zip(updates, ends, strict=True)
        ]


def _batches(updates: Sequence[DocumentUpdate], most: int) -> Iterator[list[DocumentUpdate]]:
    """Deletes first; documents of `most` chunks, so that their vectors can be in memory together; a larger one is
    alone."""
    some: list[DocumentUpdate] = []
    chunks = 0
    for update in sorted(updates, key=lambda update: bool(update.chunks)):
        if some and chunks + len(update.chunks) > most:
            yield some
            some, chunks = [], 0
        some.append(update)
        chunks += len(update.chunks)
    if some:
        yield some
