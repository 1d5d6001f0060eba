"""Workers of one plan: what a dead one held goes on at once, and one that only seemed dead keeps nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import claims
from include.quarry.lake.backfill import Unit, embed_unit
from include.quarry.lake.claims import claim, holds, release, supersedes
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

SPEC = EmbeddingSpec(dimensions=2)
UNIT = Unit("unit", ["a", "b"], ["text a", "text b"])
ATTEMPTS = st.integers(1, 10_050)


class Engine:
    """Runs something in the middle of a call: what others do while this worker is inside its engine."""

    spec = SPEC

    def __init__(self, meanwhile: Sequence[object] = ()) -> None:
        self.meanwhile = list(meanwhile)
        self.calls = 0

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        for action in self.meanwhile:
            action()  # type: ignore[operator]
        return Vectors(SPEC.fingerprint, np.ones((len(texts), 2), np.float32))


@pytest.fixture
def lake(database: Database, tmp_path: Path) -> VectorLake:
    return VectorLake(database, str(tmp_path / "lake"))


def test_a_worker_takes_over_from_a_dead_one_of_its_plan_before_the_lease_ends(database: Database) -> None:
    claim(database, "space", ["a"], "plan/0001/dead", 600)
    assert claim(database, "space", ["a"], "plan/0001/next", 600) == ["a"]
    assert not holds(database, "space", ["a"], "plan/0001/dead")
    assert holds(database, "space", ["a"], "plan/0001/next")


@pytest.mark.parametrize("owner", ["other/0001/worker", "pla/0001/worker", "plan", "plan/0001", "host:12", "plan%/2/x"])
def test_nobody_takes_over_from_another_plan(database: Database, owner: str) -> None:
    claim(database, "space", ["a"], "plan/0002/worker", 600)
    assert claim(database, "space", ["a"], owner, 600) == []
    assert holds(database, "space", ["a"], "plan/0002/worker")


def test_a_worker_of_a_former_attempt_takes_nothing_from_the_present_one(database: Database) -> None:
    claim(database, "space", ["a"], "plan/0002/worker", 600)
    assert claim(database, "space", ["a", "b"], "plan/0001/left-over", 600) == ["b"]


@given(mine=ATTEMPTS, theirs=ATTEMPTS)
def test_of_two_attempts_only_the_later_supersedes_the_other(mine: int, theirs: int) -> None:
    one, other = f"plan/{mine:04}/x", f"plan/{theirs:04}/y"
    assert supersedes(one, other) == (mine >= theirs)
    assert supersedes(one, other) or supersedes(other, one)


def test_a_plan_gives_back_what_all_its_workers_hold_and_nothing_else(database: Database) -> None:
    for number, owner in enumerate(("plan/0001/one", "plan/0002/two", "planet/0001/one", "other")):
        claim(database, "space", [f"text-{number}"], owner, 600)
    with database.write() as connection:
        release(connection, "space", "plan")
    with database.read() as connection:
        assert set(connection.scalars(sa.select(claims.c.owner))) == {"planet/0001/one", "other"}


def test_a_worker_taken_for_dead_while_it_embeds_keeps_nothing(database: Database, lake: VectorLake) -> None:
    """It was cut off, its unit was handed out again, and the other finishes first."""
    successor = Engine()
    first = embed_unit(
        UNIT,
        database,
        lake,
        Engine([lambda: embed_unit(UNIT, database, lake, successor, "plan/0001/next")]),
        "plan/0001/cut-off",
    )
    assert successor.calls == 1
    assert (first.embedded, first.discarded) == (0, 2)
    assert len(lake.parts.names(SPEC.fingerprint)) == 1


def test_a_worker_taken_for_dead_leaves_the_unit_to_one_that_is_not_done_yet(
    database: Database, lake: VectorLake
) -> None:
    take_over = Engine([lambda: claim(database, SPEC.fingerprint, UNIT.hashes, "plan/0002/next", 600)])
    receipt = embed_unit(UNIT, database, lake, take_over, "plan/0001/cut-off")
    assert (receipt.embedded, receipt.discarded) == (0, 2)
    assert lake.missing(SPEC.fingerprint, UNIT.hashes) == UNIT.hashes
    assert embed_unit(UNIT, database, lake, Engine(), "plan/0002/next").kept == ("a", "b")


def test_a_worker_whose_lease_ended_inside_the_engine_still_keeps_what_nobody_took(
    database: Database, lake: VectorLake
) -> None:
    def expire() -> None:
        with database.write() as connection:
            connection.execute(sa.update(claims).values(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))

    assert embed_unit(UNIT, database, lake, Engine([expire]), "plan/0001/slow").embedded == 2


def test_a_worker_says_what_it_found_done_and_not_what_another_plan_still_holds(
    database: Database, lake: VectorLake
) -> None:
    unit = Unit("wider", ["a", "b", "c", "d"], ["text a", "text b", "text c", "text d"])
    embed_unit(UNIT, database, lake, Engine(), "plan/0001/dead")
    claim(database, SPEC.fingerprint, ["c"], "other", 600)
    receipt = embed_unit(unit, database, lake, Engine(), "plan/0001/next")
    assert (receipt.kept, set(receipt.found)) == (("d",), {"a", "b"})
