"""Compaction moves vectors and changes none, whoever reads, writes or dies meanwhile."""

import threading
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import vectors as index
from include.quarry.errors import IncompleteIndex
from include.quarry.lake import compaction
from include.quarry.lake.compaction import compact_lake
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Float32, Vectors

TEXTS = [f"text-{number}" for number in range(40)]


class Died(BaseException):
    pass


def value_of(text: str) -> Float32:
    number = int(text.rpartition("-")[2])
    return np.array([number, -number], np.float32)


def vectors(texts: list[str], space: str = "space") -> Vectors:
    return Vectors(space, np.stack([value_of(text) for text in texts]))


@pytest.fixture
def lake(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VectorLake:
    """Twenty texts in the tail, twenty in parts of two; a full part has eight."""
    monkeypatch.setattr(compaction, "_VECTORS_PER_PART", 8)
    monkeypatch.setattr(compaction, "_SMALL", 4)
    lake = VectorLake(database, str(tmp_path / "lake"))
    for start in range(0, 20, 2):
        lake.put_part(f"unit-{start}", TEXTS[start : start + 2], vectors(TEXTS[start : start + 2]))
    lake.put_inline(TEXTS[20:], vectors(TEXTS[20:]))
    return lake


def is_whole(lake: VectorLake, texts: list[str] = TEXTS) -> bool:
    return bool((lake.fetch("space", texts).values == vectors(texts).values).all())


def inline(database: Database) -> int:
    with database.read() as connection:
        return int(
            connection.scalar(sa.select(sa.func.count()).select_from(index).where(index.c.inline.is_not(None))) or 0
        )


def test_tail_and_small_parts_become_full_parts_and_every_vector_stays_what_it_is(
    lake: VectorLake, database: Database
) -> None:
    (done,) = compact_lake(database, lake)
    assert (done.space, done.moved, done.parts) == ("space", 40, 5)
    assert is_whole(lake)
    assert inline(database) == 0
    assert len(lake.parts.names("space")) == 5


def test_what_is_compact_is_left_alone(lake: VectorLake, database: Database) -> None:
    compact_lake(database, lake)
    before = lake.parts.names("space")
    assert compact_lake(database, lake) == []
    lake.put_inline(["text-41"], vectors(["text-41"]))
    assert [done.moved for done in compact_lake(database, lake)] == [1]
    assert compact_lake(database, lake) == []
    assert lake.parts.names("space") > before


def test_a_part_that_lost_vectors_is_written_anew_without_them(lake: VectorLake, database: Database) -> None:
    compact_lake(database, lake)
    with database.write() as connection:
        connection.execute(sa.delete(index).where(index.c.text_hash == "text-3"))
    compact_lake(database, lake)
    left = [text for name in lake.parts.names("space") for text in lake.texts_of("space", name)]
    assert sorted(left) == sorted(set(TEXTS) - {"text-3"})
    assert is_whole(lake, left)


@pytest.mark.parametrize("moment", ["before the index is told", "before the old place goes"])
def test_killed_at_any_moment_it_loses_nothing_and_goes_on(
    lake: VectorLake, database: Database, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(VectorLake):
        def remove_part(self, *_: object) -> bool:
            raise Died

    def die(*_: object) -> bool:
        raise Died

    dying = Dies(database, str(tmp_path / "lake"))
    if moment == "before the index is told":
        monkeypatch.setattr(dying.parts, "exists", die)
    with pytest.raises(Died):
        compact_lake(database, dying)
    assert is_whole(lake)
    monkeypatch.setattr(compaction, "_IN_THE_MAKING_S", 0.0)
    compact_lake(database, lake)
    assert is_whole(lake)
    named = lake.parts.names("space")
    assert lake.orphans("space") == set()
    assert len(named) == 5


def test_a_part_that_does_not_read_back_takes_nothing_s_place(
    lake: VectorLake, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling = VectorLake(database, str(tmp_path / "lake"))
    write = spoiling.parts.write
    monkeypatch.setattr(
        spoiling.parts,
        "write",
        lambda name, hashes, found: write(name, hashes, Vectors(found.fingerprint, found.values + 1)),
    )
    with pytest.raises(IncompleteIndex, match="does not read back"):
        compact_lake(database, spoiling)
    assert is_whole(lake)


def test_a_part_of_a_dead_writer_is_adopted_when_it_holds_what_the_lake_lacks(
    lake: VectorLake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.parts.write("left-1", ["text-50"], vectors(["text-50"]))
    lake.parts.write("left-2", ["text-1"], vectors(["text-1"]))
    compact_lake(database, lake)
    assert lake.missing("space", ["text-50"]) == ["text-50"], "its writer may be about to name it"
    monkeypatch.setattr(compaction, "_IN_THE_MAKING_S", 0.0)
    compact_lake(database, lake)
    assert is_whole(lake, [*TEXTS, "text-50"])
    assert lake.orphans("space") == set()


def test_a_reader_that_finds_a_part_gone_looks_where_its_vectors_lie_now(
    lake: VectorLake, database: Database, tmp_path: Path
) -> None:
    reader = VectorLake(database, str(tmp_path / "lake"))
    values, compacted = reader.parts.values, []

    def values_after_a_compaction(space: str, name: str) -> Float32:
        if not compacted:
            compacted.append(compact_lake(database, lake))
        return values(space, name)

    reader.parts.values = values_after_a_compaction  # type: ignore[method-assign]
    assert is_whole(reader)
    assert compacted


def test_two_runs_writers_and_readers_do_not_disturb_each_other(lake: VectorLake, database: Database) -> None:
    ended, wrong = threading.Event(), list[BaseException]()
    late = [f"text-{number}" for number in range(100, 130)]

    def until_ended(work: object) -> threading.Thread:
        def run() -> None:
            try:
                while not ended.is_set():
                    work()  # type: ignore[operator]
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test is told
                wrong.append(error)

        return threading.Thread(target=run)

    def read() -> None:
        assert is_whole(lake)

    threads = [until_ended(lambda: compact_lake(database, lake)), until_ended(read)]
    for thread in threads:
        thread.start()
    for text in late:
        lake.put_inline([text], vectors([text]))
        if text.endswith("5"):
            compact_lake(database, lake)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert is_whole(lake, [*TEXTS, *late])
