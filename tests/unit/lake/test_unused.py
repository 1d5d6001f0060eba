"""A vector goes when no passage has used its text for a while, and never one that somebody uses or is about to."""

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import vectors
from include.quarry.lake import unused
from include.quarry.lake.compaction import compact_lake
from include.quarry.lake.unused import Sweep, remove_unused
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus

LONG_S = 3600.0


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path) -> Corpus:
    corpus = Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url))
    for number in range(10):
        corpus.put(f"d{number}", f"Stone number {number} is hard.")
    corpus.embed()
    return corpus


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(vectors)) or 0)


def test_a_vector_goes_only_after_it_was_unused_for_the_grace(corpus: Corpus) -> None:
    corpus.delete("d0")
    assert remove_unused(corpus.database, corpus.lake, LONG_S) == Sweep(noted=1, used_again=0, removed=0)
    assert remove_unused(corpus.database, corpus.lake, LONG_S) == Sweep(0, 0, 0)
    assert remove_unused(corpus.database, corpus.lake, 0.0) == Sweep(0, 0, 1)
    assert count(corpus.database) == 9


def test_a_text_that_comes_back_keeps_its_vector_and_begins_anew(corpus: Corpus) -> None:
    corpus.delete("d0")
    remove_unused(corpus.database, corpus.lake, LONG_S)
    corpus.put("d0", "Stone number 0 is hard.", tenant="other")
    assert remove_unused(corpus.database, corpus.lake, 0.0) == Sweep(noted=0, used_again=1, removed=0)
    corpus.delete("d0", tenant="other")
    assert remove_unused(corpus.database, corpus.lake, LONG_S) == Sweep(1, 0, 0)


def test_a_text_that_comes_back_in_the_last_moment_keeps_its_vector(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.delete("d0")
    remove_unused(corpus.database, corpus.lake, LONG_S)
    change, steps = unused._change, list[object]()

    def change_after_it_came_back(database: Database, which: Any, what: Any) -> Any:
        steps.append(what)
        if len(steps) == 3:
            corpus.put("d0", "Stone number 0 is hard.", tenant="other")
        return change(database, which, what)

    monkeypatch.setattr(unused, "_change", change_after_it_came_back)
    assert remove_unused(corpus.database, corpus.lake, 0.0).removed == 0


def test_a_text_of_another_document_keeps_its_vector(corpus: Corpus) -> None:
    corpus.put("d0", "Stone number 0 is hard.", tenant="other")
    corpus.delete("d0")
    assert remove_unused(corpus.database, corpus.lake, 0.0) == Sweep(0, 0, 0)


def test_a_part_that_is_used_no_more_is_not_adopted_again(corpus: Corpus) -> None:
    for number in range(10):
        corpus.delete(f"d{number}")
    remove_unused(corpus.database, corpus.lake, 0.0)
    remove_unused(corpus.database, corpus.lake, 0.0)
    assert corpus.lake.adopt_orphans(SPEC.embedding.fingerprint) == 0
    assert (count(corpus.database), corpus.lake.parts.names(SPEC.embedding.fingerprint)) == (0, set())


def test_nothing_is_lost_while_documents_change_and_are_embedded(corpus: Corpus) -> None:
    """With no grace at all: documents come, go and come back while vectors are removed and moved."""
    build_version("v1", "main", SPEC, corpus.settings)
    promote("v1", corpus.settings)
    ended, wrong = threading.Event(), list[BaseException]()

    def keep_house() -> None:
        try:
            while not ended.is_set():
                remove_unused(corpus.database, corpus.lake, 0.0)
                compact_lake(corpus.database, corpus.lake)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is told
            wrong.append(error)

    keeping = threading.Thread(target=keep_house)
    keeping.start()
    for turn in range(6):
        for number in range(5):
            corpus.put(f"d{number}", f"Stone number {number + turn % 2} is soft.")
        corpus.delete(f"d{5 + turn % 5}")
        corpus.embed()
        corpus.put(f"d{5 + turn % 5}", f"Stone number {turn % 3} is hard.")
    ended.set()
    keeping.join()
    assert wrong == []
    corpus.embed()
    proof = check_completeness("v1", corpus.settings)
    assert (proof["digest"], proof["waiting"]) == (proof["log_digest"], 0)
