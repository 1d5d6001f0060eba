"""Maintenance changes no search, and where it does, that is found."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.retention import truncate_log
from include.quarry.catalog.schema import vectors
from include.quarry.catalog.versions import forget_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.upkeep import keep_lake
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote
from include.quarry.routing.renewal import renew_snapshots
from include.quarry.settings import Settings
from include.quarry.verification.searches import compare_searches, remember_searches
from tests.unit.routing.corpus import SPEC, Corpus

_STONES = 20


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path) -> Corpus:
    """v1 is live, and new documents have come since. Nothing has to be kept for long."""
    short = {"snapshot_tail_changes": 1, "log_retention_s": 0.0, "unused_vector_grace_s": 0.0}
    corpus = Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url, **short))
    write(corpus, range(_STONES), "hard")
    build_version("v1", "main", SPEC, corpus.settings)
    promote("v1", corpus.settings)
    write(corpus, range(_STONES, 2 * _STONES), "harder")
    return corpus


def write(corpus: Corpus, numbers: range, how: str) -> None:
    for number in numbers:
        corpus.put(f"d{number}", f"Stone number {number} lies in hall {number * 7 % _STONES} and is {how}.")
    corpus.embed()


def maintain(corpus: Corpus) -> None:
    renew_snapshots(corpus.settings)
    truncate_log(corpus.database, corpus.settings.log_retention_s)
    keep_lake(corpus.settings)


def test_a_night_changes_no_search_and_leaves_nothing_behind(corpus: Corpus) -> None:
    assert remember_searches("night", corpus.settings) == ["v1"]
    maintain(corpus)
    (line,) = compare_searches("night", corpus.settings, patience_s=0)
    assert line == f"equal: {2 * _STONES} searches of v1 at {2 * _STONES}"
    assert list((corpus.settings.home / "maintenance").iterdir()) == []


def test_what_is_accepted_meanwhile_is_in_both(corpus: Corpus) -> None:
    remember_searches("night", corpus.settings)
    write(corpus, range(0, _STONES, 3), "soft")
    maintain(corpus)
    write(corpus, range(1, _STONES, 3), "softer")
    corpus.delete("d2")
    assert compare_searches("night", corpus.settings, patience_s=0)


def swap_two_vectors(corpus: Corpus, _patch: pytest.MonkeyPatch) -> None:
    """Of two documents that came after the old snapshot, each gets the vector of the other."""
    with corpus.database.write() as connection:
        query = sa.select(vectors.c.id, vectors.c.part, vectors.c.position).order_by(vectors.c.id.desc()).limit(2)
        one, other = connection.execute(query).all()
        for row, found in ((one, other), (other, one)):
            there = sa.update(vectors).where(vectors.c.id == row.id)
            connection.execute(there.values(part=found.part, position=found.position))


def lose_a_passage(_corpus: Corpus, patch: pytest.MonkeyPatch) -> None:
    """The index that is loaded second lacks a passage."""
    contents, seen = Index.contents, list[Index]()

    def some_contents(index: Index) -> list[tuple[str, int]]:
        seen.extend([index] if index not in seen else [])
        return list(contents(index))[seen.index(index) :]

    patch.setattr(Index, "contents", some_contents)


@pytest.mark.parametrize("spoil", [swap_two_vectors, lose_a_passage])
def test_a_search_that_finds_something_else_fails(
    corpus: Corpus, spoil: Callable[[Corpus, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_searches("night", corpus.settings)
    maintain(corpus)
    spoil(corpus, monkeypatch)
    with pytest.raises(IncompleteIndex, match="v1 does not find what it found"):
        compare_searches("night", corpus.settings, patience_s=0)


def test_documents_that_wait_for_vectors_are_waited_for(corpus: Corpus) -> None:
    remember_searches("night", corpus.settings)
    corpus.put("waits", "A stone that nobody has embedded yet.")
    with pytest.raises(IncompleteIndex, match="1 documents wait for vectors"):
        compare_searches("night", corpus.settings, patience_s=0)
    corpus.embed()
    assert compare_searches("night", corpus.settings, patience_s=0), "what was remembered is still there"


def test_a_task_that_is_tried_again_remembers_what_there_was_before(corpus: Corpus) -> None:
    remember_searches("night", corpus.settings)
    held = corpus.settings.home / "maintenance" / "night" / "v1"
    before = held.stat().st_mtime_ns
    maintain(corpus)
    assert remember_searches("night", corpus.settings) == ["v1"]
    assert held.stat().st_mtime_ns == before


def test_a_version_that_was_ended_meanwhile_is_left_out(corpus: Corpus) -> None:
    remember_searches("night", corpus.settings)
    with corpus.database.write() as connection:
        forget_snapshot(connection, "v1")
    assert compare_searches("night", corpus.settings, patience_s=0) == []


def test_two_nights_at_once_and_a_stream_of_changes_stay_safe(corpus: Corpus) -> None:
    """As when `airflow backfill create` runs the Dag beside its schedule, over a backfill and a stream.

    Here vectors have a grace, since readers on their way need one."""
    corpus.settings = corpus.settings.model_copy(update={"unused_vector_grace_s": 60.0})
    ended, wrong = threading.Event(), list[BaseException]()

    def night(run: str) -> None:
        try:
            for _ in range(2):
                remember_searches(run, corpus.settings)
                maintain(corpus)
                compare_searches(run, corpus.settings, patience_s=60)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is told
            wrong.append(error)

    def change() -> None:
        turn = 0
        while not ended.is_set():
            write(corpus, range(turn % 4, 2 * _STONES, 5), f"changed {(turn := turn + 1)}")
            corpus.delete(f"d{turn % _STONES}")

    changing = threading.Thread(target=change)
    nights = [threading.Thread(target=night, args=(run,)) for run in ("one", "two")]
    for thread in (changing, *nights):
        thread.start()
    for thread in nights:
        thread.join()
    ended.set()
    changing.join()
    assert wrong == []
    corpus.embed()
    proof = check_completeness("v1", corpus.settings)
    assert (proof["digest"], proof["waiting"]) == (proof["log_digest"], 0)
