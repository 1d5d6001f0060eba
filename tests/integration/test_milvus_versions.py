"""Index versions on a Milvus server, through routing: built, proven, promoted, followed by two replicas at once, gone
back from, and ended. The server is milvus-lite, or the one that QUARRY_TEST_MILVUS_URL names.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import NotFound, Unavailable
from include.quarry.records import Scope
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.opening import opens_here
from include.quarry.routing.promotion import promote, roll_back
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.retention import expire_versions
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec, ShardSpec, StoreSpec
from include.quarry.stores.milvus import MilvusCollection, collection_name
from tests.conftest import free_port
from tests.servers.milvus import milvus
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder

pytestmark = pytest.mark.integration

ON_MILVUS = IndexSpec(embedding=SPEC.embedding, store=StoreSpec(adapter="milvus", kind="flat"))
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with milvus(tmp_path_factory.mktemp("milvus")) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Settings:
    return Settings(home=tmp_path / "home", milvus_url=url, store_timeout_s=60, version_retention_s=0)


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    settings.home.mkdir()
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    yield Corpus(database, settings)
    database.close()


@pytest.fixture
def version_id() -> str:
    """Its own, since the server may outlive the tests."""
    return f"v-{uuid4().hex[:12]}"


@contextmanager
def replica(corpus: Corpus, settings: Settings, scratch: Path) -> Iterator[ResidentIndexes]:
    residents = ResidentIndexes(
        corpus.database,
        corpus.lake,
        scratch,
        lambda spec: HashEncoder(),
        interval_s=0.02,
        open_version=opens_here(corpus.database, corpus.lake, servers=settings.store_servers),
    )
    residents.start()
    try:
        yield residents
    finally:
        residents.stop()


async def found(residents: ResidentIndexes, query: str) -> tuple[str, set[str]]:
    resident = residents.find("main") or await asyncio.to_thread(residents.load, "main")
    retrieval = await resident.live.retrieve(query, top_k=10, scope=Scope("default"))
    return retrieval.index_version, {hit.chunk.key.doc_id for hit in retrieval.hits}


async def until(expected: tuple[str, set[str]], residents: ResidentIndexes, query: str = "granite") -> None:
    tick = threading.Event()
    for _ in range(int(_PATIENCE_S / 0.02)):
        if await found(residents, query) == expected:
            return
        await asyncio.to_thread(tick.wait, 0.02)
    pytest.fail(f"{query!r} finds {await found(residents, query)}, not {expected}, after {_PATIENCE_S} s")


async def test_a_version_on_a_server_is_built_promoted_followed_and_gone_back_from(
    corpus: Corpus, settings: Settings, version_id: str, tmp_path: Path
) -> None:
    for doc in "ab":
        corpus.put(doc, f"Granite {doc}.")
    corpus.embed()
    build_version("on-disk", "main", SPEC, settings)
    promote("on-disk", settings)
    build_version(version_id, "main", ON_MILVUS, settings)
    corpus.delete("a")
    proof = check_completeness(version_id, settings)
    assert proof["digest"] == proof["log_digest"]
    promote(version_id, settings)
    with replica(corpus, settings, tmp_path / "one") as one, replica(corpus, settings, tmp_path / "two") as two:
        for each in (one, two):
            await until((version_id, {"b"}), each)
        corpus.put("c", "Granite c.")
        corpus.put("b", "Basalt b.")
        corpus.embed()
        corpus.delete("c")
        for each in (one, two):
            await until((version_id, {"b"}), each)
        assert check_completeness(version_id, settings)["chunks"] == 1
        roll_back("main", "a test", settings)
        for each in (one, two):
            await until(("on-disk", {"b"}), each)


async def test_two_replicas_of_one_collection_prove_the_same_while_the_corpus_moves(
    corpus: Corpus, settings: Settings, version_id: str, tmp_path: Path
) -> None:
    corpus.put("a", "Granite.")
    corpus.embed()
    build_version(version_id, "main", ON_MILVUS, settings)
    promote(version_id, settings)
    done = threading.Event()

    def change() -> None:
        for number in range(30):
            corpus.put(f"d{number % 5}", f"Slate of layer {number}.")
            corpus.embed()
            if number % 3 == 0:
                corpus.delete(f"d{(number + 2) % 5}")
        done.set()

    with replica(corpus, settings, tmp_path / "one") as one, replica(corpus, settings, tmp_path / "two") as two:
        for each in (one, two):
            await found(each, "granite")
        changing = threading.Thread(target=change)
        changing.start()
        proofs = []
        while not done.is_set():
            proofs.append(await asyncio.to_thread(check_completeness, version_id, settings))
            await asyncio.to_thread(build_version, version_id, "main", ON_MILVUS, settings)
        changing.join()
        proofs.append(check_completeness(version_id, settings))
    assert all(proof["digest"] == proof["log_digest"] for proof in proofs)


def test_the_end_of_a_version_drops_its_collection_and_waits_for_a_server_that_is_away(
    corpus: Corpus, settings: Settings, version_id: str
) -> None:
    corpus.put("a", "Granite.")
    corpus.embed()
    build_version(version_id, "main", ON_MILVUS, settings)
    promote(version_id, settings)
    build_version("next", "main", SPEC, settings)
    promote("next", settings)
    away = {"milvus_url": f"http://127.0.0.1:{free_port()}", "store_timeout_s": 1.0}
    assert expire_versions(settings.model_copy(update=away)) == []
    opened = opening(settings, version_id)
    assert opened() is not None
    assert expire_versions(settings) == [version_id]
    with pytest.raises(NotFound):
        opened()
    assert not (settings.home / "indexes" / version_id).exists()
    assert expire_versions(settings) == []


def test_shards_have_a_collection_each_which_end_with_their_version(
    corpus: Corpus, settings: Settings, version_id: str
) -> None:
    for number in range(8):
        corpus.put(f"d{number}", f"Granite {number}.")
    corpus.embed()
    build_version(version_id, "main", replace(ON_MILVUS, shards=ShardSpec(2)), settings)
    assert check_completeness(version_id, settings)["chunks"] == 8
    promote(version_id, settings)
    build_version("next", "main", SPEC, settings)
    promote("next", settings)
    shards = [opening(settings, f"{version_id}.shard-{number:02}") for number in range(2)]
    held = [{row.document.name for row in opened().held()} for opened in shards]
    assert len(held[0] | held[1]) == len(held[0]) + len(held[1]) == 8
    assert expire_versions(settings) == [version_id]
    for opened in shards:
        with pytest.raises(NotFound):
            opened()


def test_a_server_that_is_away_fails_the_build_and_says_so(corpus: Corpus, settings: Settings, version_id: str) -> None:
    corpus.put("a", "Granite.")
    corpus.embed()
    away = {"milvus_url": f"http://127.0.0.1:{free_port()}", "store_timeout_s": 1.0}
    with pytest.raises(Unavailable, match="did not connect"):
        build_version(version_id, "main", ON_MILVUS, settings.model_copy(update=away))


def opening(settings: Settings, version_id: str) -> Callable[[], MilvusCollection]:
    space = ON_MILVUS.embedding
    server = settings.store_servers.milvus()
    return lambda: MilvusCollection.open(server, collection_name(version_id), space.fingerprint, space.dimensions)
