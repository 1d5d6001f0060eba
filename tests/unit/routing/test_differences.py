"""An incomplete index is told in the words of its fault."""

import pytest

from include.quarry.catalog.updates import Follow, expected_contents, read_stretch
from include.quarry.records import Chunk
from include.quarry.routing.differences import describe
from tests.unit.routing.corpus import SPEC, Corpus

FOLLOW = Follow("main", SPEC.chunker.fingerprint, SPEC.embedding.fingerprint)


def chunks(corpus: Corpus) -> list[Chunk]:
    corpus.embed()
    with corpus.database.read() as connection:
        return [chunk for update in read_stretch(connection, FOLLOW, 0).updates for chunk in update.chunks]


def told(corpus: Corpus, held: list[Chunk]) -> str:
    """Of an index at the head that holds these chunks."""
    with corpus.database.read() as connection:
        expected, has = set(expected_contents(connection, FOLLOW)), {(c.chunk_id, c.doc_version) for c in held}
        missing = sorted(chunk_id for chunk_id, _ in expected - has)
        return describe(connection, "main", missing, [c for c in held if (c.chunk_id, c.doc_version) not in expected])


@pytest.fixture
def before(corpus: Corpus) -> list[Chunk]:
    for doc_id in "abc":
        corpus.put(doc_id, f"Stone {doc_id} is hard.")
    return chunks(corpus)


def test_lost_documents_are_absent(corpus: Corpus, before: list[Chunk]) -> None:
    text = told(corpus, before[1:])
    assert text == "1 chunks missing, 0 in excess; 1 documents absent or in part ['a']"


def test_ignored_deletes_are_named(corpus: Corpus, before: list[Chunk]) -> None:
    corpus.delete("b")
    corpus.put("d", "Stone d is new.")
    text = told(corpus, [*chunks(corpus), before[1]])
    assert text == "0 chunks missing, 1 in excess; 1 deleted documents still held ['b']"


def test_an_index_that_stopped_is_told_by_its_distance(corpus: Corpus, before: list[Chunk]) -> None:
    for text in ("harder", "soft"):
        corpus.put("b", f"Stone b is {text}.")
    corpus.delete("c")
    corpus.put("d", "Stone d is new.")
    chunks(corpus)
    text = told(corpus, before)
    assert "nothing since change 4 was applied, 4 changes behind the head of the log" in text
    assert "1 deleted documents still held ['c']" in text
    assert "1 documents held as they were ['b']" in text
    assert "1 documents absent or in part ['d']" in text


def test_an_index_that_applied_something_later_has_not_merely_stopped(corpus: Corpus, before: list[Chunk]) -> None:
    corpus.put("a", "Stone a is soft.")
    corpus.put("b", "Stone b is soft.")
    corpus.put("c", "Stone c is soft.")
    newest = [chunk for chunk in chunks(corpus) if chunk.key.doc_id == "c"]
    assert "behind the head" not in told(corpus, [*before[:2], *newest])
