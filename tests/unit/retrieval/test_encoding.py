"""Hits as bytes: what is shown is the API's JSON, and the records come back whole."""

import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.errors import InvalidInput
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from include.quarry.retrieval.encoding import FORMAT, EncodedHits, outline

text = st.text(st.characters(codec="utf-8"), max_size=20)
chunks = st.builds(
    Chunk,
    chunk_id=text,
    key=st.builds(DocumentKey, text, text, text),
    doc_version=st.integers(1, 9),
    ordinal=st.integers(0, 9),
    uri=text,
    title=text,
    passage=st.builds(Passage, text, text, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
    metadata=st.dictionaries(text, text, max_size=3),
)
hits = st.builds(
    Hit, chunks, st.floats(0, 1), st.dictionaries(st.sampled_from(["dense", "lexical"]), st.integers(1, 9))
)


@given(hits=st.lists(hits, max_size=4))
def test_hits_come_back_as_they_were(hits: list[Hit]) -> None:
    encoded = EncodedHits.of(hits)
    for copy in (encoded, EncodedHits.from_bytes(encoded.to_bytes()), pickle.loads(pickle.dumps(encoded))):
        assert list(copy) == hits
        assert [hit["text"] for hit in orjson.loads(copy.shown)] == [hit.chunk.passage.text for hit in hits]
        assert outline(copy) == outline(hits)


def test_what_is_encoded_is_not_encoded_again() -> None:
    encoded = EncodedHits.of([])
    assert EncodedHits.of(encoded) is encoded


@pytest.mark.parametrize("cut", [0, 3, 4, 5, 11, 12])
def test_what_was_cut_off_is_refused(cut: int) -> None:
    value = EncodedHits.of([]).to_bytes()
    with pytest.raises(InvalidInput, match="no list of hits"):
        EncodedHits.from_bytes(value[:cut])


def test_an_encoding_that_changes_gets_another_number() -> None:
    """Releases share a cache: change FORMAT, then this value."""
    passage = Passage("Granite is hard.", "Stones", 5, 21, 4)
    chunk = Chunk("c1", DocumentKey("main", "red", "a"), 2, 0, "file:///a", "A", passage, {"k": "v"})
    encoded = EncodedHits.of([Hit(chunk, 0.5, {"dense": 1})]).to_bytes()
    shown = (
        b'[{"chunk_id":"c1","doc_id":"a","title":"A","uri":"file:///a","text":"Granite is hard.","start":5,"end":21,'
        b'"score":0.5,"ranks":{"dense":1}}]'
    )
    listed = b'[["c1","a",0.5,{"dense":1}]]'
    rest = b'[["main","red",2,0,"Stones",4,{"k":"v"}]]'
    parts = len(shown).to_bytes(4) + shown + len(listed).to_bytes(4) + listed + rest
    assert (FORMAT, encoded) == (1, parts)
