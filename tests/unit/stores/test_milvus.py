"""What the Milvus adapter promises beyond the port of stores: names, literals, aliases, and its errors."""

from itertools import count
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import ForeignVectors, Misconfigured, NotFound, Unavailable
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores.milvus import MilvusCollection, MilvusServer, collection_name, load_store, new_store
from include.quarry.stores.remote import RemoteStore
from tests.conftest import free_port

D = 4
X = Vectors("s", np.eye(1, D, dtype=np.float32))
FLAT = StoreSpec(kind="flat")
_SEQS = count(1)


@pytest.fixture(scope="module")
def server(milvus_url: str) -> MilvusServer:
    return MilvusServer(milvus_url, timeout_s=20)


@pytest.fixture(scope="module")
def shared(server: MilvusServer) -> RemoteStore:
    return new_store(FLAT, "s", D, server=server, version="shared")


def update(doc: str, seq: int, tenant: str = "t", **metadata: str) -> DocumentUpdate:
    key = DocumentKey("main", tenant, doc)
    chunk = Chunk(f"c-{doc}", key, seq, 0, "", "", Passage("", "", 0, 0, 0), metadata)
    return DocumentUpdate(seq, key, seq, (chunk,), X)


odd = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
hostile = st.sampled_from(['" or 1 == 1 or "', "\\", '\\\\"', "a\nb", "{x}", "%", "'", "😀", "null", ""])


@settings(max_examples=40, deadline=None)
@given(tenant=odd | hostile, name=odd | hostile, value=odd | hostile)
def test_no_tenant_field_or_value_is_taken_for_an_expression(shared: RemoteStore, tenant, name, value) -> None:
    store, seq = shared, next(_SEQS)
    store.apply(
        [update(f"d{seq}", seq, tenant, **{name: value, "own": str(seq)}), update(f"e{seq}", seq, tenant, own=str(seq))]
    )
    hits = store.search(X, 10, Scope(tenant, {name: value, "own": str(seq)}))[0]
    assert [hit.chunk_id for hit in hits] == [f"c-d{seq}"]


def test_versions_have_names_of_their_own() -> None:
    versions = ["main-1", "main_1", "main.1", "main 1", "main_2d_1", "Main-1", "größe"]
    names = [collection_name(version) for version in versions]
    assert len(set(names)) == len(versions)
    assert all(name.isascii() and name.replace("_", "").isalnum() for name in names)


def test_an_unfinished_build_goes_on_with_its_collection(server: MilvusServer) -> None:
    new_store(FLAT, "s", D, server=server, version="unfinished").apply([update("a", 1)])
    again = new_store(FLAT, "s", D, server=server, version="unfinished")
    again.apply([update("a", 1), update("b", 2)])
    assert sorted(again.contents()) == [("c-a", 1), ("c-b", 2)]


def test_a_collection_of_another_space_is_refused(server: MilvusServer) -> None:
    new_store(FLAT, "s", D, server=server, version="taken")
    for fingerprint, dimensions in (("other", D), ("s", D + 1)):
        with pytest.raises(ForeignVectors, match=r"taken.*build a new one"):
            new_store(FLAT, fingerprint, dimensions, server=server, version="taken")


def test_a_dropped_collection_is_not_found_and_says_what_to_do(server: MilvusServer, tmp_path: Path) -> None:
    store = new_store(FLAT, "s", D, server=server, version="gone")
    store.apply([update("a", 1)])
    store.save(tmp_path / "snapshot")
    store.drop()
    store.drop()
    with pytest.raises(NotFound, match="build a new"):
        load_store(tmp_path / "snapshot", server=server)
    with pytest.raises(NotFound, match="build a new"):
        store.search(X, 1, Scope("t"))


def test_an_alias_that_somebody_gave_a_collection_does_not_outlive_it(server: MilvusServer) -> None:
    first, second = (MilvusCollection.create(server, f"aliased_{i}", "flat", "s", D) for i in "12")
    server.client.create_alias(second.name, "corpus_main")
    second.drop()
    assert "corpus_main" not in server.client.list_aliases(first.name)["aliases"]
    server.client.create_alias(first.name, "corpus_main")


def test_kinds_that_milvus_has_no_index_for_are_refused(server: MilvusServer) -> None:
    with pytest.raises(Misconfigured, match=r"ivf.*auto, flat, hnsw"):
        new_store(StoreSpec(kind="ivf"), "s", D, server=server, version=uuid4().hex)


def test_a_server_that_does_not_answer_is_unavailable_and_keeps_the_token_secret(caplog) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}.*try again") as raised:
        MilvusServer(f"http://user:hunter2@127.0.0.1:{port}", token="user:hunter2", timeout_s=1)
    assert "hunter2" not in str(raised.value) + caplog.text
