"""Replicas of one Milvus collection that follow a log at the same time, each at its own speed. The server is
milvus-lite, or the one that QUARRY_TEST_MILVUS_URL names.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from uuid import uuid4

import numpy as np
import pytest

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores.milvus import MilvusServer, load_store, new_store
from include.quarry.stores.remote import RemoteStore
from tests.servers.milvus import milvus

pytestmark = pytest.mark.integration

D, DOCUMENTS, CHANGES = 16, 12, 240


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus(tmp_path_factory.mktemp("milvus")) as url:
        yield MilvusServer(url, timeout_s=60)


def make_log(random: Random) -> list[DocumentUpdate]:
    """Each chunk names the update it is of; a quarter of the changes are deletes."""
    log = []
    for seq in range(1, CHANGES + 1):
        doc = f"d{random.randrange(DOCUMENTS)}"
        count = random.choice([0, 1, 3, 5])
        key = DocumentKey("main", "t", doc)
        chunks = tuple(
            Chunk(f"{doc}:{seq}:{i}", key, seq, i, "", "", Passage("", "", 0, 0, 0), {}) for i in range(count)
        )
        rows = np.eye(D, dtype=np.float32)[[i % D for i in range(count)]]
        log.append(DocumentUpdate(seq, key, seq, chunks, Vectors("s", rows) if count else None))
    return log


def follow(store: RemoteStore, log: Sequence[DocumentUpdate], stride: int) -> None:
    for start in range(0, len(log), stride):
        store.apply(log[start : start + stride])


def state_after(log: Sequence[DocumentUpdate]) -> list[tuple[str, int]]:
    last = {update.key: update for update in log}
    return sorted((chunk.chunk_id, chunk.doc_version) for update in last.values() for chunk in update.chunks)


def torn(store: RemoteStore, sizes: dict[tuple[str, int], int]) -> list[str]:
    """Documents that a search shows in part, or in two states."""
    query = Vectors("s", np.full((1, D), D**-0.5, np.float32))
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for hit in store.search(query, 200, Scope("t"))[0]:
        doc, seq, _ = hit.chunk_id.split(":")
        seen[doc].append(int(seq))
    return [doc for doc, seqs in seen.items() if len(set(seqs)) > 1 or len(seqs) != sizes[doc, seqs[0]]]


def test_replicas_of_any_speed_end_in_the_state_of_the_log_and_show_documents_whole(
    server: MilvusServer, tmp_path: Path
) -> None:
    log, version = make_log(Random(5)), uuid4().hex
    sizes = {(update.key.doc_id, update.seq): len(update.chunks) for update in log}
    spec = StoreSpec(kind="flat")
    stores = [new_store(spec, "s", D, server=server, version=version) for _ in range(3)]
    wrong: list[list[str]] = []
    try:
        with ThreadPoolExecutor() as pool:
            strides = (7, 19, 40)
            followers = [pool.submit(follow, s, log, stride) for s, stride in zip(stores, strides, strict=True)]
            while not all(follower.done() for follower in followers):
                wrong += [each for store in stores if (each := torn(store, sizes))]
            for follower in followers:
                follower.result()
        assert wrong == []
        stores[0].save(tmp_path / "snapshot")
        loaded = load_store(tmp_path / "snapshot", server=server)
        for store in (*stores, loaded, new_store(spec, "s", D, server=server, version=version)):
            assert sorted(store.contents()) == state_after(log)
        loaded.apply(log)
        assert sorted(loaded.contents()) == state_after(log)
    finally:
        stores[0].drop()
