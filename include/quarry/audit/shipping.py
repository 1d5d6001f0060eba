"""Shipping: what journals hold goes into the catalog in batches, each entry once, whoever dies in between.

A batch and how far its writer was shipped are one transaction. What a dead writer left is adopted by whoever looks
next: another serving process, the next start, or the daily Dag.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from include.quarry.audit.entry import Entry
from include.quarry.audit.segments import Origin, Position, Segments, adopted, writers
from include.quarry.catalog.database import Database
from include.quarry.errors import QuarryError

logger = logging.getLogger(__name__)
Sink = Callable[[sa.Connection, Sequence[Entry]], None]
"""Keeps what it wants of some entries of one writer, in order, inside the transaction; they may come again."""
_FAILURES = (QuarryError, SQLAlchemyError, OSError)
"""What may keep entries from being shipped now."""
_ADOPT_EVERY_S = 5.0


class Shipper:
    """Ships one journal, and adopts what the dead left beside it."""

    def __init__(self, origin: Origin, database: Database, sinks: Sequence[Sink]) -> None:
        self._folder = origin.folder
        self._database = database
        self._sinks = sinks
        self._own = Segments(origin.folder, origin.writer)
        self._position = Position()
        self._adopt_at_s = 0.0
        self._shipped_at_s = time.monotonic()

    @property
    def position(self) -> Position:
        """How far the journal was shipped."""
        return self._position

    def try_step(self) -> bool:
        """`step`, as often as one likes; whether it worked. What fails is logged, and waits in the journal."""
        try:
            self.step()
        except _FAILURES:
            logger.exception("audit entries could not be shipped; they wait in %s", self._folder)
            return False
        return True

    def step(self) -> int:
        """Ship what there is; gives how many entries that was."""
        looked_at_s = time.monotonic()
        shipped, self._position = _ship(self._own, self._position, self._database, self._sinks)
        self._shipped_at_s = looked_at_s
        if time.monotonic() >= self._adopt_at_s:
            shipped += adopt(self._folder, self._database, self._sinks)
            self._adopt_at_s = time.monotonic() + _ADOPT_EVERY_S
        return shipped

    def waiting_bytes(self) -> int:
        """How much of this process's journal is not in the catalog yet."""
        return self._own.waiting_bytes(self._position)

    def behind_s(self) -> float:
        """For how long, at most, entries of this process have been waiting; 0 when none does."""
        return time.monotonic() - self._shipped_at_s if self.waiting_bytes() else 0.0

    def close(self) -> None:
        """Let go of the catalog."""
        self._database.close()


def adopt(folder: Path, database: Database, sinks: Sequence[Sink]) -> int:
    """Ship what dead writers left and remove it; gives how many entries that was, some maybe shipped before.

    Raises `Unavailable` while the catalog cannot take it; it then stays for whoever looks next. One writer whose
    entries cannot be shipped keeps no other back: the first error is raised when all were tried.
    """
    shipped, failures = 0, []
    for writer in writers(folder):
        try:
            with adopted(folder, writer) as ours:
                if ours:
                    left = Segments(folder, writer)
                    shipped += _ship(left, Position(), database, sinks)[0]
                    left.forget_all()
        except _FAILURES as error:
            logger.error("what %s left could not be shipped (%s); it waits in %s", writer, type(error).__name__, folder)
            failures.append(error)
    if failures:
        raise failures[0]
    return shipped


def _ship(segments: Segments, position: Position, database: Database, sinks: Sequence[Sink]) -> tuple[int, Position]:
    shipped = 0
    while True:
        entries, after = segments.read(position)
        if entries:
            with database.write(in_turn=False) as connection:
                for sink in sinks:
                    sink(connection, entries)
        position, shipped = after, shipped + len(entries)
        segments.forget(position)
        if not entries:
            return shipped, position
