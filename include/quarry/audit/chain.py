"""The chain of one writer, as the catalog holds it: is it what the writer wrote, whole and in order?

Whoever changes a record must change the hash of every later one too, and the heads that seals hold; whoever takes one
away leaves a number missing. Each finding says what does not fit, and where.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from include.quarry.audit.entry import GENESIS, hash_of, read_fields
from include.quarry.audit.trail import COLUMNS, column_of
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records

_PAGE = 5000


class Point(NamedTuple):
    """How far a chain goes: the number of a record, and its hash."""

    number: int
    hash: str


START = Point(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit. `place` is a writer and a number, or a seal."""

    kind: str
    place: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding tomorrow."""
        return self.kind, self.place


class ChainCheck:
    """Walks one chain; `findings` is what did not fit, `reached` how far it has come."""

    def __init__(self, writer: str, start: Point, sealed: Mapping[int, str]) -> None:
        """`start` is where retention has cut the chain off; `sealed` the hashes that seals hold, by number."""
        self.writer = writer
        self.reached = start
        self.findings: list[Finding] = []
        self._sealed = sealed
        self._start = start

    def take(self, row: sa.Row[Any]) -> None:
        """The next record, by number."""
        number, expected = row.number, self.reached.number + 1
        if number != expected:
            lacking = f"number {expected}" if number == expected + 1 else f"numbers {expected} to {number - 1}"
            self._find("missing", expected, f"{lacking} of {self.writer} is gone from between its neighbours")
        if hash_of(row.body.encode()) != row.hash:
            self._find("edited", number, f"number {number} of {self.writer} does not have the hash of its body")
        self._compare(row)
        if number in self._sealed and self._sealed[number] != row.hash:
            self._find("unsealed", number, f"number {number} of {self.writer} is not the one that was sealed")
        self.reached = Point(number, row.hash)

    def finish(self, head: Point | None) -> None:
        """After the last record; `head` is where the catalog says that the chain ends, None where it says nothing."""
        end = self.reached
        if head is None and end != self._start:
            self._find("headless", end.number, f"{self.writer} has records but no row in audit_chains")
        if head is not None and head != end:
            self._find("cut", end.number, f"{self.writer} ends at number {end.number}, and not at {head.number}")
        beyond = [number for number in self._sealed if number > end.number]
        if beyond:
            gone = "is gone" if end == START else f"ends at number {end.number}"
            self._find("cut", end.number, f"{self.writer} {gone}, though it was sealed up to number {max(beyond)}")

    def _compare(self, row: sa.Row[Any]) -> None:
        try:
            body = orjson.loads(row.body)
            at = datetime.fromisoformat(body["at"])
            wrong = [name for name in COLUMNS if not _repeats(getattr(row, name), body[name])] + ["at"] * (at != row.at)
            place, before = (body["writer"], body["number"]), body["before"]
        except (ValueError, KeyError, TypeError):
            self._find("edited", row.number, f"number {row.number} of {self.writer} has a body that is no record")
            return
        if place != (self.writer, row.number):
            self._find(
                "moved", row.number, f"number {row.number} of {self.writer} was written as {place[1]} of {place[0]}"
            )
        if row.number == self.reached.number + 1 and before != self.reached.hash:
            self._find("broken", row.number, f"number {row.number} of {self.writer} does not follow the one before it")
        if wrong:
            self._find("edited", row.number, f"columns of number {row.number} of {self.writer} differ from it: {wrong}")

    def _find(self, kind: str, number: int, text: str) -> None:
        self.findings.append(Finding(kind, f"{self.writer}#{number}", text))


def left_over(database: Database, writer: str, removed: Point) -> list[Finding]:
    """What does not fit among records from before the start of a chain. Retention that was cut short leaves the last
    of them, up to `removed`; nobody else has written there."""
    r, check = audit_records.c, None
    query = sa.select(audit_records).where(r.writer == writer, r.number <= removed.number).order_by(r.number)
    with database.read() as connection:  # one snapshot, for retention may be at it
        for row in connection.execute(query.execution_options(yield_per=_PAGE)):
            before = str(read_fields(row.body).get("before"))
            check = check or ChainCheck(writer, Point(row.number - 1, before), {removed.number: removed.hash})
            check.take(row)
    if check is None or check.reached == removed:
        return [] if check is None else check.findings
    text = f"{writer} has number {check.reached.number}, where retention has left none, or nobody has written"
    return [*check.findings, Finding("excess", f"{writer}#{check.reached.number}", text)]


def _repeats(column: object, field: object) -> bool:
    return column in (field, column_of(field))


def read_chain(database: Database, writer: str, start: Point, last: int) -> Iterator[sa.Row[Any]]:
    """The records of one writer after a point, up to number `last`, in order; a page a transaction."""
    r, after = audit_records.c, start.number
    query = sa.select(audit_records).where(r.writer == writer, r.number <= last).order_by(r.number).limit(_PAGE)
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(r.number > after)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].number
