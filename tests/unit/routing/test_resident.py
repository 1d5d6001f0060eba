"""What a replica holds: loaded on first use, at the head of the log, swapped whole."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from include.quarry.catalog.routes import put_in_shadow
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import NotFound, Unavailable
from include.quarry.records import Scope
from include.quarry.routing import resident as module
from include.quarry.routing.building import build_version
from include.quarry.routing.loading import Loaded
from include.quarry.routing.promotion import promote, refuse, roll_back
from include.quarry.routing.resident import Resident, ResidentIndexes
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder

_PATIENCE_S = 20.0


@pytest.fixture
def residents(corpus: Corpus, tmp_path: Path) -> Iterator[ResidentIndexes]:
    residents = ResidentIndexes(
        corpus.database, corpus.lake, tmp_path / "scratch", lambda spec: HashEncoder(), interval_s=0.02
    )
    residents.start()
    yield residents
    residents.stop()


def make_live(corpus: Corpus, settings: Settings, version_id: str = "v1") -> None:
    corpus.embed()
    build_version(version_id, "main", SPEC, settings)
    promote(version_id, settings)


async def found(residents: ResidentIndexes, query: str, tenant: str = "default") -> list[str]:
    resident = residents.find("main") or residents.load("main")
    retrieval = await resident.live.retrieve(query, top_k=5, scope=Scope(tenant))
    return [hit.chunk.key.doc_id for hit in retrieval.hits]


async def until(residents: ResidentIndexes, query: str, expected: list[str]) -> None:
    """Wait for the follower, which works on a thread of its own."""
    tick = threading.Event()
    for _ in range(int(_PATIENCE_S / 0.02)):
        if await found(residents, query) == expected:
            return
        tick.wait(0.02)
    pytest.fail(f"{query!r} finds {await found(residents, query)}, not {expected}, after {_PATIENCE_S} s")


async def test_a_corpus_without_a_route_is_not_found(residents: ResidentIndexes) -> None:
    with pytest.raises(NotFound, match="no live index version"):
        residents.load("main")


async def test_an_upload_becomes_searchable_and_a_delete_wins_without_a_rebuild(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    assert await found(residents, "granite") == ["a"]
    corpus.put("b", "Basalt.")
    corpus.embed()
    await until(residents, "basalt", ["b", "a"])
    corpus.delete("a")
    await until(residents, "granite", ["b"])


async def test_a_corpus_to_be_held_always_is_loaded_once_it_has_a_route(
    corpus: Corpus, routing_settings: Settings, tmp_path: Path
) -> None:
    residents = ResidentIndexes(
        corpus.database,
        corpus.lake,
        tmp_path / "scratch",
        lambda spec: HashEncoder(),
        interval_s=0.02,
        always=("main",),
    )
    residents.start()
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    tick = threading.Event()
    while residents.find("main") is None:
        assert not tick.wait(0.02)
    assert residents.watermarks() == {"main": 1}
    residents.stop()


async def test_tenants_do_not_see_each_other(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings
) -> None:
    corpus.put("a", "Granite.", tenant="red")
    corpus.put("a", "Granite.", tenant="blue")
    corpus.put("b", "Granite.", tenant="blue")
    make_live(corpus, routing_settings)
    assert await found(residents, "granite", tenant="red") == ["a"]
    assert sorted(await found(residents, "granite", tenant="blue")) == ["a", "b"]
    assert await found(residents, "granite", tenant="green") == []


async def until_held(residents: ResidentIndexes, *versions: str) -> Resident:
    """Wait until exactly these versions are loaded, the first of them live."""
    tick = threading.Event()
    for _ in range(int(_PATIENCE_S / 0.02)):
        resident = residents.load("main")
        if set(resident.versions) == set(versions) and resident.route.live_version == versions[0]:
            return resident
        tick.wait(0.02)
    pytest.fail(f"{sorted(resident.versions)} are held with {resident.route}, not {versions}, after {_PATIENCE_S} s")


async def test_a_promotion_swaps_the_version_and_a_resident_already_taken_stays_usable(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    taken = residents.load("main")
    make_live(corpus, routing_settings, "v2")
    await until_held(residents, "v2", "v1")
    retrieval = await taken.live.retrieve("granite", top_k=1, scope=Scope("default"))
    assert (retrieval.index_version, len(retrieval.hits)) == ("v1", 1)


async def test_the_version_before_follows_the_log_so_that_a_rollback_loses_nothing(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    make_live(corpus, routing_settings, "v2")
    await until_held(residents, "v2", "v1")
    corpus.put("b", "Basalt.")
    corpus.delete("a")
    corpus.embed()
    await until(residents, "basalt", ["b"])
    roll_back("main", "a test", routing_settings)
    resident = await until_held(residents, "v1", "v2")
    assert await found(residents, "granite") == ["b"]
    assert resident.live.index.watermark == 3


async def test_a_rollback_is_taken_while_the_log_is_being_followed_and_shows_nothing_that_was_deleted(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite.")
    corpus.put("b", "Basalt.")
    make_live(corpus, routing_settings)
    residents.load("main")
    make_live(corpus, routing_settings, "v2")
    resident = await until_held(residents, "v2", "v1")
    busy, go_on = threading.Event(), threading.Event()
    follower: Any = resident.versions["v1"].follower
    with_vectors = follower._with_vectors

    def for_long(updates: Any) -> Any:
        busy.set()
        assert go_on.wait(_PATIENCE_S)
        return with_vectors(updates)

    monkeypatch.setattr(follower, "_with_vectors", for_long)
    corpus.delete("b")
    assert busy.wait(_PATIENCE_S)
    corpus.put("c", "Slate.")
    corpus.embed()
    resident.versions["v2"].follower.step()
    roll_back("main", "a test", routing_settings)
    await until_held(residents, "v1", "v2")
    assert await found(residents, "basalt") == ["a"]
    go_on.set()
    await until(residents, "slate", ["c", "a"])


async def test_a_corpus_that_nobody_asks_about_is_unloaded_and_comes_back_when_someone_does(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    with monkeypatch.context() as patched:
        patched.setattr(module, "_IDLE_S", 0.0)
        tick = threading.Event()
        while residents.find("main") is not None:
            assert not tick.wait(0.02)
    assert await found(residents, "granite") == ["a"]


async def test_a_candidate_is_held_and_followed_until_it_is_refused(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    build_version("v2", "main", SPEC, routing_settings)
    with corpus.database.write() as connection:
        put_in_shadow(connection, "v2", 1.0)
    resident = await until_held(residents, "v1", "v2")
    held = resident.versions["v2"]
    refuse("v2", "a test", routing_settings)
    await until_held(residents, "v1")
    late = await held.retriever.retrieve("granite", top_k=1, scope=Scope("default"))
    assert late.index_version == "v2", "a request that began on it can finish"
    monkeypatch.setattr(module, "_GRACE_S", 0.0)
    tick = threading.Event()
    while held.scratch.exists():
        assert not tick.wait(0.02)


async def test_a_version_that_cannot_follow_holds_up_no_other(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    make_live(corpus, routing_settings, "v2")
    resident = await until_held(residents, "v2", "v1")

    def unavailable(*_: object) -> int:
        raise Unavailable("the server is down")

    monkeypatch.setattr(resident.versions["v2"].follower, "_go_on", unavailable)
    corpus.put("b", "Basalt.")
    corpus.embed()
    tick = threading.Event()
    while resident.versions["v1"].retriever.index.watermark < 2:
        assert not tick.wait(0.02)


async def test_whatever_is_wrong_with_a_candidate_the_replica_lives_on(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    for version_id in ("v2", "v3"):
        build_version(version_id, "main", SPEC, routing_settings)
    with corpus.database.write() as connection:
        put_in_shadow(connection, "v2", 1.0)
    resident = await until_held(residents, "v1", "v2")
    broken = threading.Event()

    def bug(*_: object) -> NoReturn:
        broken.set()
        raise ValueError("a bug")

    monkeypatch.setattr(resident.versions["v2"].follower, "_go_on", bug)
    corpus.put("b", "Basalt.")
    corpus.embed()
    await until(residents, "basalt", ["b", "a"])
    assert broken.wait(_PATIENCE_S)
    refuse("v2", "a test", routing_settings)
    await until_held(residents, "v1")
    broken.clear()
    monkeypatch.setattr(residents._loader, "_open_version", bug)
    with corpus.database.write() as connection:
        put_in_shadow(connection, "v3", 1.0)
    assert broken.wait(_PATIENCE_S)
    corpus.delete("b")
    await until(residents, "granite", ["a"])
    assert residents.is_alive()


async def test_a_version_refused_while_it_is_being_loaded_leaves_nothing_behind(
    residents: ResidentIndexes,
    corpus: Corpus,
    routing_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    build_version("v2", "main", SPEC, routing_settings)
    opening, go_on = threading.Event(), threading.Event()
    open_version = residents._loader._open_version

    def slowly(*arguments: Any) -> Any:
        opening.set()
        assert go_on.wait(_PATIENCE_S)
        return open_version(*arguments)

    monkeypatch.setattr(residents._loader, "_open_version", slowly)
    monkeypatch.setattr(module, "_GRACE_S", 0.0)
    with corpus.database.write() as connection:
        put_in_shadow(connection, "v2", 1.0)
    assert opening.wait(_PATIENCE_S)
    refuse("v2", "a test", routing_settings)
    go_on.set()
    tick = threading.Event()
    while any((tmp_path / "scratch").glob("v2-*")):
        assert not tick.wait(0.02)


async def test_a_candidate_that_cannot_be_loaded_leaves_the_live_version_answering(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings
) -> None:
    corpus.put("a", "Granite.")
    make_live(corpus, routing_settings)
    residents.load("main")
    build_version("v2", "main", SPEC, routing_settings)
    with corpus.database.read() as connection:
        snapshot = Path(find_version(connection, "v2").snapshot)
    (snapshot / "passages" / "passages.jsonl").write_bytes(b"damaged")
    promote("v2", routing_settings)
    corpus.put("b", "Basalt.")
    corpus.embed()
    await until(residents, "basalt", ["b", "a"])
    assert residents.load("main").route.live_version == "v1"


def test_a_version_that_cannot_be_loaded_is_no_fault_of_who_asks_and_not_tried_for_each(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite is hard.")
    make_live(corpus, routing_settings, "v2")
    make_live(corpus, routing_settings, "v1")
    with corpus.database.read() as connection:
        snapshot = Path(find_version(connection, "v1").snapshot)
    shutil.rmtree(snapshot)
    monkeypatch.setattr(module, "_LOOK_AGAIN_S", 600.0)
    opened: list[str] = []
    open_version = residents._loader.open

    def counted(version: IndexVersion) -> Loaded:
        opened.append(version.version_id)
        return open_version(version)

    monkeypatch.setattr(residents._loader, "open", counted)
    for _ in range(3):
        with pytest.raises(Unavailable, match="v1, live for corpus 'main', could not be loaded") as failed:
            residents.load("main")
        assert str(snapshot) not in str(failed.value)
    assert opened == ["v1"]
    roll_back("main", "it cannot be loaded", routing_settings)
    assert residents.load("main").route.live_version == "v2"


async def test_those_who_wait_for_a_corpus_to_be_loaded_leave_threads_to_others(
    residents: ResidentIndexes, corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite is hard.")
    make_live(corpus, routing_settings)
    may_open, open_version = threading.Event(), residents._loader.open

    def slow(version: IndexVersion) -> Loaded:
        may_open.wait(_PATIENCE_S)
        return open_version(version)

    monkeypatch.setattr(residents._loader, "open", slow)
    waiting = [asyncio.create_task(residents.loaded("main")) for _ in range(100)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), _PATIENCE_S / 2) == "done"
    assert not any(task.done() for task in waiting)
    may_open.set()
    assert len({id(each) for each in await asyncio.gather(*waiting)}) == 1
