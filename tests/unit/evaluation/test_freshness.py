"""A suite that no longer speaks of the corpus, or that the candidate has seen, is doubted."""

import json
from pathlib import Path

import pytest

from evaluation.corpus_feed import read_documents
from evaluation.freshness import doubts_about_age, doubts_about_training, hash_query, read_trained_on
from evaluation.judgments import Suite, load_suite
from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.records import DocumentKey, RawDocument

ROWS = [{"_id": "a", "title": "One", "text": "Granite  is hard.\n\nVery."}, {"_id": "b", "text": "Chalk is soft."}]


@pytest.fixture
def suite(write_suite) -> Suite:
    return load_suite(str(write_suite(corpus=ROWS)))


@pytest.fixture
def catalog(tmp_path: Path, suite: Suite):
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    database = Database(url)
    ingestor = Ingestor(database, make_chunker, 10**6)
    for document in read_documents(suite.folder / "corpus.jsonl", corpus=suite.corpus):
        ingestor.upsert(document, "suite")
    yield database, ingestor
    database.close()


def age(database: Database, suite: Suite, **options) -> list[str]:
    options = {"corpus": suite.corpus, "tenant": "default", "max_share": 0.05} | options
    with database.read() as connection:
        return list(doubts_about_age(connection, suite, **options))


def test_a_suite_as_old_as_its_corpus_is_not_doubted(catalog, suite: Suite) -> None:
    assert age(catalog[0], suite) == []


def test_judged_documents_that_are_gone_are_counted(catalog, suite: Suite) -> None:
    database, ingestor = catalog
    ingestor.delete(DocumentKey(suite.corpus, "default", "b"), "http")
    (doubt,) = age(database, suite)
    assert "2 documents judged relevant 1 are gone ['b'] and 0 have changed" in doubt
    assert age(database, suite, max_share=0.5) == []
    assert "2 are gone" in age(database, suite, tenant="somebody else")[0]


def test_judged_documents_that_say_something_else_are_counted(catalog, suite: Suite) -> None:
    database, ingestor = catalog
    key = DocumentKey(suite.corpus, "default", "a")
    ingestor.upsert(RawDocument(key, "somewhere", b"Granite is soft.", "text/plain"), "http")
    assert "0 are gone [] and 1 have changed ['a']" in age(database, suite)[0]


def test_a_suite_without_a_corpus_knows_ids_only(catalog, suite: Suite) -> None:
    database, ingestor = catalog
    key = DocumentKey(suite.corpus, "default", "a")
    ingestor.upsert(RawDocument(key, "somewhere", b"Granite is soft.", "text/plain"), "http")
    corpus = suite.corpus
    (suite.folder / "corpus.jsonl").unlink()
    assert age(database, suite, corpus=corpus) == []


def test_queries_that_the_candidate_was_tuned_on_are_named(suite: Suite) -> None:
    seen = frozenset({hash_query(" FIRST "), hash_query("something else")})
    (doubt,) = doubts_about_training(suite, seen, max_share=0.0)
    assert "tuned on 1 of the 2 judged queries ['q1']" in doubt
    assert list(doubts_about_training(suite, seen, max_share=0.5)) == []
    assert list(doubts_about_training(suite, frozenset(), max_share=0.0)) == []


def test_the_list_of_training_queries_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "trained.json"
    path.write_text(json.dumps({"trained_on": [hash_query("first")]}))
    assert read_trained_on(path) == {hash_query("first")}
    for wrong in ("[]", "{", '{"trained_on": ["first"]}', '{"trained_on": 3}'):
        path.write_text(wrong)
        with pytest.raises(InvalidInput, match="trained_on"):
            read_trained_on(path)
    with pytest.raises(NotFound):
        read_trained_on(tmp_path / "nowhere.json")
