"""Specs: fingerprints that never move by themselves, and complaints that a person can act on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.errors import Misconfigured
from include.quarry.specs import ChunkerSpec, EmbeddingSpec, IndexSpec, ShardSpec, StoreSpec


def test_the_fingerprints_of_the_defaults_stay_what_they_are() -> None:
    """A moved fingerprint orphans every vector in the lake and every version in the catalog."""
    assert IndexSpec().fingerprint == "89b14cb7c59d50b7"
    assert ChunkerSpec().fingerprint == "c5bbdbf019fafc30"
    assert EmbeddingSpec().fingerprint == "272a7c6cef5c0479"


def test_one_shard_is_no_field_of_a_spec_and_more_make_it_another_one() -> None:
    assert "shards" not in IndexSpec().to_json()
    assert len({IndexSpec(shards=ShardSpec(count=count)).fingerprint for count in range(1, 6)}) == 5


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (None, "index spec is None; it must be a mapping"),
        ([], "index spec is .*; it must be a mapping"),
        ({"chunker": 7}, "chunker is 7; it must be a mapping"),
        ({"chunkr": {}}, "chunkr is unknown; an index spec has chunker, embedding, store, lexical"),
        ({"store": {"size": 1}}, "store.size is unknown; store has adapter, kind"),
        ({"store": {"kind": "tree"}}, "store.kind is 'tree'; input should be 'auto', 'flat', 'hnsw', 'ivf' or 'sq8'"),
        ({"store": {"adapter": "qdrant"}}, "store.adapter is 'qdrant'; .*'milvus' or 'pinecone'"),
        ({"store": {"adapter": "milvus", "kind": "ivf"}}, "store.kind is 'ivf'; milvus has auto, flat, hnsw"),
        ({"store": {"adapter": "pinecone", "kind": "flat"}}, "store.kind is 'flat'; pinecone has auto"),
        ({"embedding": {"dtype": "fp8"}}, "embedding.dtype is 'fp8'; .*'bf16'"),
        ({"embedding": {"model": ""}}, "embedding.model is ''; .*at least 1 character"),
        ({"embedding": {"revision": 12}}, "embedding.revision is 12; .*valid string"),
        ({"chunker": {"max_tokens": "128"}}, "chunker.max_tokens is '128'; .*valid integer"),
        ({"chunker": {"max_tokens": True}}, "chunker.max_tokens is True; .*valid integer"),
        ({"chunker": {"max_tokens": 15}}, "chunker.max_tokens is 15; .*greater than or equal to 16"),
        ({"chunker": {"max_tokens": 9000}}, "chunker.max_tokens is 9000; .*less than or equal to 8192"),
        ({"chunker": {"max_tokens": 40}}, "chunker.min_tokens is 32; at most half of chunker.max_tokens 40"),
        ({"chunker": {"max_tokens": 255}}, "chunker.max_tokens is 255; the model reads 254"),
        ({"embedding": {"dimensions": 0}}, "embedding.dimensions is 0; .*greater than or equal to 1"),
        ({"shards": {"count": 0}}, "shards.count is 0; .*greater than or equal to 1"),
        ({"shards": {"count": 65}}, "shards.count is 65; .*less than or equal to 64"),
        ({"shards": {"by": "tenant"}}, "shards.count is 1, which divides nothing by tenant; set 2 or more"),
        ({"shards": {"count": 2, "window": "day"}}, "shards.window is 'day' and shards.by 'hash'; only time"),
        ({1: {}}, "1 is 1; keys should be strings"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(document: object, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=f"^spec.yaml: {complaint}"):
        IndexSpec.from_fields(document, "spec.yaml")


def test_all_that_is_wrong_is_told_at_once_and_never_at_length() -> None:
    with pytest.raises(Misconfigured) as raised:
        IndexSpec.from_fields({"store": {"kind": "x" * 10**6, "y" * 10**6: 1}, "lexical": {"language": "xx"}}, "it")
    assert "store.kind" in str(raised.value)
    assert "lexical.language" in str(raised.value)
    assert len(str(raised.value)) < 1000


SPECS = st.builds(
    IndexSpec,
    st.builds(ChunkerSpec, max_tokens=st.integers(16, 254), min_tokens=st.integers(0, 8)),
    st.builds(EmbeddingSpec, dtype=st.sampled_from(["fp32", "bf16", "int8"]), dimensions=st.integers(1, 8192)),
    st.builds(StoreSpec, kind=st.sampled_from(["auto", "flat", "hnsw", "ivf", "sq8"])),
    shards=st.just(ShardSpec()) | st.builds(ShardSpec, st.integers(2, 64), st.sampled_from(["hash", "tenant", "time"])),
)


@given(SPECS)
def test_a_spec_comes_back_as_it_was_from_its_json_and_from_its_fields(spec: IndexSpec) -> None:
    import json

    assert IndexSpec.from_json(spec.to_json()) == spec
    assert IndexSpec.from_fields(json.loads(spec.to_json()), "it") == spec


def test_the_catalog_reads_what_a_stricter_rule_would_refuse_today() -> None:
    old = IndexSpec(chunker=ChunkerSpec(max_tokens=4000))
    assert IndexSpec.from_json(old.to_json()) == old
    with pytest.raises(Misconfigured, match="unknown parts"):
        IndexSpec.from_json('{"sharding": {}}')
