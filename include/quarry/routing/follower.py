"""A follower keeps one loaded index at the head of the log."""

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
    read_rest,
    read_stretch,
)
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, DocumentUpdate, Vectors
from include.quarry.specs import IndexSpec

_CHUNKS_PER_BATCH = 8192  # 13 MB of vectors of 384 numbers, and as much again while they are gathered
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
    """Applies what the log has and the index has not, a page at a time. One thread steps; another may call `take_over`
    meanwhile."""

    def __init__(
        self,
        database: Database,
        lake: VectorLake,
        index: Followed,
        corpus: str,
        *,
        takes: Takes = everything,
        applied: Applied | None = None,
    ) -> None:
        self._database = database
        self._lake = lake
        self._index = index
        self._follow = Follow(corpus, index.spec.chunker.fingerprint, index.spec.embedding.fingerprint)
        self._takes = takes
        self._applied = applied
        self._turn = threading.RLock()
        self._waiting = 0
        self._begun = 0, 0  # what the log had when the last step began
        self._seen: tuple[int, int] | None = None  # and when the last one ended
        self._ahead: set[tuple[DocumentKey, int]] = set()  # applied while an earlier document still waited for vectors

    def step(self) -> int:
        """Apply everything that is ready; gives how many documents still wait for vectors."""
        with self._database.read() as connection:
            apply = self.look(connection)
        return apply()

    def look(self, connection: sa.Connection) -> Callable[[], int]:
        """Read what is ready; calling what this gives applies it, as `step` does."""
        seen = news(connection, self._follow)
        if seen == self._seen:
            return lambda: self._waiting
        stretch = read_stretch(connection, self._follow, self._index.watermark, self._ahead, self._takes)
        return partial(self._apply, stretch, seen)

    def take_over(self, other: object) -> None:
        """Before the index answers in the place of what `other` follows: apply what it lacks, where that is little and
        no thread is at it.

        Else apply the deletes alone, for what is gone must not be shown again; the rest comes with the next steps.
        """
        if isinstance(other, Follower) and self._seen is not None and self._seen >= other._begun:
            return
        if self._turn.acquire(timeout=_TURN_S):
            try:
                if self._is_near():
                    self.step()
                    return
            finally:
                self._turn.release()
        with self._database.read() as connection:
            deletes = read_deletes(connection, self._follow, self._index.watermark)
        if taken := [update for update in deletes if self._takes(update)]:
            self._index.apply(taken, self._index.watermark)

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

    def _apply(self, stretch: Stretch, seen: tuple[int, int]) -> int:
        with self._turn:
            self._begun = seen
            ahead = set(self._ahead)
            for page in self._pages(stretch.page):
                for batch in _batches(page.updates):
                    self._index.apply(self._with_vectors(batch), self._index.watermark)
                    if self._applied:
                        self._applied(len(batch), sum(len(update.chunks) for update in batch))
                ahead |= {(update.key, update.seq) for update in page.updates if update.seq > stretch.watermark}
            self._index.apply([], stretch.watermark)
            self._ahead = {mark for mark in ahead if mark[1] > stretch.watermark}
            self._seen, self._waiting = seen, stretch.waiting
        return stretch.waiting

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


def _batches(updates: Sequence[DocumentUpdate]) -> Iterator[list[DocumentUpdate]]:
    """Documents whose chunks are few enough for their vectors to be in memory together; a larger one is alone."""
    some: list[DocumentUpdate] = []
    chunks = 0
    for update in updates:
        if some and chunks + len(update.chunks) > _CHUNKS_PER_BATCH:
            yield some
            some, chunks = [], 0
        some.append(update)
        chunks += len(update.chunks)
    if some:
        yield some
