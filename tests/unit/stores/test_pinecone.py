"""What the Pinecone adapter promises beyond the port of stores: its names, request sizes and errors."""

from pathlib import Path

import numpy as np
import pytest

from include.quarry.errors import ForeignVectors, InvalidInput, Misconfigured, NotFound, Unavailable
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores.pinecone import PineconeServer, collection_name, load_store, new_store
from tests.servers.pinecone import KEY, Fake

D = 384
RNG = np.random.default_rng(3)


def update(doc: str, seq: int, chunks: int = 1, tenant: str = "t", prefix: str = "c") -> DocumentUpdate:
    key = DocumentKey("main", tenant, doc)
    made = tuple(
        Chunk(f"{prefix}-{doc}-{i}", key, seq, i, "", "", Passage("", "", 0, 0, 0), {"n": str(i)})
        for i in range(chunks)
    )
    rows = RNG.standard_normal((chunks, D)).astype(np.float32)
    return DocumentUpdate(seq, key, seq, made, Vectors("s", rows / np.linalg.norm(rows, axis=1, keepdims=True)))


@pytest.fixture
def server(fake: Fake) -> PineconeServer:
    return PineconeServer(KEY, fake.url)


def test_documents_of_any_size_fit_the_limits_of_requests(server: PineconeServer) -> None:
    """The fake refuses more than 1000 records, 1000 ids, 2 MB or an answer of 4 MB."""
    store = new_store(StoreSpec(), "s", D, server=server, version="v")
    large = update("large", 1, chunks=1300)
    store.apply([large, *(update(f"d{i}", 2 + i) for i in range(50))])
    assert len(list(store.contents())) == 1350
    assert large.vectors is not None
    hits = store.search(Vectors("s", large.vectors.values[:1]), 100, Scope("t"))[0]
    assert (len(hits), hits[0].chunk_id) == (100, "c-large-0")
    store.apply([DocumentUpdate(99, large.key, 99)])
    assert len(list(store.contents())) == 50


def test_tenants_are_namespaces_whatever_characters_they_have(server: PineconeServer, fake: Fake) -> None:
    store = new_store(StoreSpec(), "s", D, server=server, version="v")
    tenants = ["a", "A/b", "ü #%", "__default__", ""]
    store.apply([update("d", seq, tenant=tenant, prefix=f"t{seq}") for seq, tenant in enumerate(tenants)])
    (index,) = fake.indexes.values()
    assert len(index.namespaces) == len(tenants)
    assert all(name.isascii() and name.startswith("tenant.") for name in index.namespaces)
    for seq, tenant in enumerate(tenants):
        hits = store.search(update("q", 1).vectors, 10, Scope(tenant))[0]
        assert [hit.chunk_id for hit in hits] == [f"t{seq}-d-0"]
    assert len(list(store.contents())) == len(tenants)


def test_versions_have_names_that_pinecone_takes() -> None:
    versions = ["main-1", "main_1", "MAIN-1", "größe", "x" * 80, "x" * 81, "--"]
    names = [collection_name(version) for version in versions]
    assert len(set(names)) == len(versions)
    assert all(len(name) <= 45 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_an_index_of_another_space_is_refused(server: PineconeServer) -> None:
    new_store(StoreSpec(), "s", D, server=server, version="v")
    with pytest.raises(ForeignVectors, match="build a new one"):
        new_store(StoreSpec(), "other", D, server=server, version="v")
    with pytest.raises(ForeignVectors):
        new_store(StoreSpec(), "s", D + 1, server=server, version="v")


def test_a_deleted_index_is_not_found(server: PineconeServer, tmp_path: Path) -> None:
    store = new_store(StoreSpec(), "s", D, server=server, version="v")
    store.save(tmp_path / "snapshot")
    store.drop()
    store.drop()
    with pytest.raises(NotFound, match="build a new index version"):
        load_store(tmp_path / "snapshot", server=server)


def test_a_wrong_key_is_misconfigured_and_never_told(fake: Fake, caplog) -> None:
    server = PineconeServer("pcsk_wrong_secret", fake.url)
    with pytest.raises(Misconfigured, match="check the setting of its key") as raised:
        new_store(StoreSpec(), "s", D, server=server, version="v")
    assert "pcsk" not in str(raised.value) + caplog.text


def test_a_failing_service_is_unavailable(server: PineconeServer, fake: Fake) -> None:
    store = new_store(StoreSpec(), "s", D, server=server, version="v")
    fake.failing = 500
    with pytest.raises(Unavailable, match=r"did not search.*try again"):
        store.search(update("q", 1).vectors, 1, Scope("t"))


def test_an_id_that_does_not_fit_is_refused(server: PineconeServer) -> None:
    store = new_store(StoreSpec(), "s", D, server=server, version="v")
    with pytest.raises(InvalidInput, match="512 fit"):
        store.apply([update("d", 1, prefix="x" * 500)])


def test_pinecone_chooses_the_kind_itself(server: PineconeServer) -> None:
    with pytest.raises(Misconfigured, match="set auto"):
        new_store(StoreSpec(kind="hnsw"), "s", D, server=server, version="v")
