"""A kept answer is exactly as fresh as one made anew, and never anybody else's."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.catalog.database import Database
from include.quarry.errors import NotFound, Unavailable
from include.quarry.records import DocumentUpdate
from tests.unit.cache.conftest import CREATED_AT, Replica, update

BOTH = {"red/a/1", "red/b/2"}


async def test_what_was_asked_before_is_not_searched_again(replica: Replica) -> None:
    first, second = await replica.ask(), await replica.ask()
    assert list(second.hits) == list(first.hits)
    assert (second.index_version, second.watermark, second.shards_missing) == ("v1", 2, ())
    assert set(second.timings_ms) == {"cache", "total"}
    assert [first.cache, second.cache] == ["fwd=uri-miss; stored", "hit"]
    assert (replica.encoder.encoded, replica.counts.hits, replica.counts.misses) == (1, 1, 1)


@pytest.mark.parametrize("other", [{"query": "rock"}, {"top_k": 1}, {"filters": {"doc_id": "a"}}, {"tenant": "blue"}])
async def test_another_question_is_another_answer(replica: Replica, other: dict[str, object]) -> None:
    await replica.ask()
    asked = await replica.ask(**other)  # type: ignore[arg-type]
    assert asked.cache == "fwd=uri-miss; stored"
    assert (await replica.ask(**other)).cache == "hit"  # type: ignore[arg-type]


async def test_tenants_never_see_each_other_through_the_cache(replica: Replica) -> None:
    replica.apply(update("a", 3, "Granite is blue.", tenant="blue"))
    assert await replica.found() == await replica.found() == BOTH
    assert await replica.found(tenant="blue") == await replica.found(tenant="blue") == {"blue/a/3"}
    assert await replica.found(tenant="green") == await replica.found(tenant="green") == set()


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (update("a", 3, "Granite is hard."), {"red/a/3", "red/b/2"}),
        (update("c", 3, "Slate is a stone."), {*BOTH, "red/c/3"}),
        (update("a", 3), {"red/b/2"}),
    ],
)
async def test_an_applied_change_wins_over_a_kept_answer(
    replica: Replica, change: DocumentUpdate, after: set[str]
) -> None:
    assert await replica.found() == await replica.found() == BOTH
    replica.apply(change)
    assert await replica.found() == await replica.found() == after
    assert replica.counts.hits == 2


async def test_a_change_applied_ahead_of_the_watermark_wins_too(replica: Replica) -> None:
    """`a` waits for its vectors at 3, so the watermark stays at 2; `b` is applied ahead of it, and then `a` is."""
    await replica.ask()
    replica.apply(update("b", 4, "Chalk is soft."), watermark=2)
    assert await replica.found() == await replica.found() == {"red/a/1", "red/b/4"}
    replica.apply(update("a", 3, "Granite is old."), watermark=2)
    assert await replica.found() == {"red/a/3", "red/b/4"}
    assert (await replica.ask()).watermark == 2


async def test_the_changes_of_one_tenant_do_not_empty_the_cache_of_another(replica: Replica) -> None:
    await replica.ask()
    replica.apply(update("x", 3, "Basalt.", tenant="blue"))
    again = await replica.ask()
    assert (again.cache, again.watermark) == ("hit", 3)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_was_computed_while_a_change_was_applied_is_not_kept(replica: Replica, moment: str) -> None:
    log = iter([update("a", 3), update("a", 4, "Granite is back."), update("a", 5)])

    def change() -> None:
        if (each := next(log, None)) is not None:
            replica.apply(each)

    if moment == "before":
        replica.encoder.before = change
    else:
        replica.index.after = change
    for _ in range(3):
        assert (await replica.ask()).cache == "fwd=uri-miss; stored=?0"
    assert replica.counts.unstored == 3
    assert await replica.found() == await replica.found() == {"red/b/2"}


async def test_what_came_and_went_during_a_computation_is_not_kept(replica: Replica) -> None:
    """The tenant's holding has the same name before and after; what was found in between it never held since."""
    log = [lambda: replica.apply(update("c", 4)), lambda: replica.apply(update("c", 3, "Slate is a stone."))]
    replica.encoder.before = lambda: log.pop()() if log else None
    replica.index.after = lambda: log.pop()() if log else None
    assert await replica.found() == {*BOTH, "red/c/3"}
    assert await replica.found() == BOTH


async def test_who_comes_after_a_document_went_does_not_wait_for_what_was_found_before(replica: Replica) -> None:
    """Here too the name is the same again, and only the moves tell."""
    replica.apply(update("c", 3, "Slate is a stone."))
    replica.apply(update("c", 4))
    gate = asyncio.Event()
    replica.encoder.before = gate.wait
    early = asyncio.create_task(replica.found())
    await asyncio.sleep(0)
    replica.apply(update("d", 5, "Marble is a stone."))
    replica.apply(update("d", 6))
    late = asyncio.create_task(replica.ask())
    await asyncio.sleep(0)
    gate.set()
    assert await early == BOTH
    assert "collapsed" not in (await late).cache


async def test_a_hundred_equal_misses_are_searched_once(replica: Replica) -> None:
    asked = await asyncio.gather(*(replica.ask() for _ in range(100)))
    assert replica.encoder.encoded == 1
    assert sorted({each.cache for each in asked}) == ["fwd=uri-miss; collapsed", "fwd=uri-miss; stored"]
    assert (replica.counts.misses, replica.counts.collapsed) == (100, 99)


async def test_an_error_is_not_kept(replica: Replica) -> None:
    def fail() -> None:
        raise Unavailable("the engine is gone")

    replica.encoder.before = fail
    with pytest.raises(Unavailable):
        await replica.ask()
    replica.encoder.before = lambda: None
    assert await replica.found() == BOTH


async def test_an_answer_from_which_a_shard_is_missing_is_not_kept(replica: Replica) -> None:
    replica.index.missing = (1,)
    assert (await replica.ask()).shards_missing == (1,)
    replica.index.missing = ()
    assert (await replica.ask()).shards_missing == ()
    assert replica.counts.hits == 0


async def test_who_names_a_version_or_wants_no_cache_is_answered_past_it(replica: Replica) -> None:
    await replica.ask()
    assert (await replica.ask(pinned="v1")).cache == "fwd=bypass"
    assert (await replica.ask(caching="avoid")).cache == "fwd=request"
    assert (replica.counts.skipped, replica.encoder.encoded) == (2, 3)
    with pytest.raises(NotFound):
        await replica.ask(pinned="gone")
    assert (await replica.ask(caching="renew")).cache == "fwd=request; stored"
    assert (replica.encoder.encoded, (await replica.ask()).cache) == (4, "hit")


async def test_an_index_that_cannot_say_what_it_holds_is_asked_each_time(replica: Replica) -> None:
    replica.index.holding = lambda _tenant: None  # type: ignore[method-assign]
    assert [(await replica.ask()).cache for _ in range(2)] == ["fwd=bypass"] * 2


async def test_canary_and_live_never_mix(catalog: Database, tmp_path: Path) -> None:
    replica = Replica(catalog, tmp_path / "two", versions=("v1", "v2"))
    replica.apply(update("a", 1, "Granite."))
    await replica.ask()
    replica.route = replace(replica.route, canary_version="v2", canary_share=1.0)
    assert [(await replica.ask()).index_version for _ in range(2)] == ["v2", "v2"]
    assert replica.counts.hits == 1
    replica.route = replace(replica.route, canary_version=None, canary_share=0.0)
    again = await replica.ask()
    assert (again.index_version, again.cache) == ("v1", "hit")


async def test_what_the_live_version_says_for_a_failed_canary_is_not_kept_as_the_canarys(
    catalog: Database, tmp_path: Path
) -> None:
    replica = Replica(catalog, tmp_path / "two", versions=("v1", "v2"))
    replica.apply(update("a", 1, "Granite."))
    replica.route = replace(replica.route, canary_version="v2", canary_share=1.0)

    def poisoned() -> None:
        raise RuntimeError("poisoned")

    replica.indexes["v2"].after = poisoned
    assert [(await replica.ask()).index_version for _ in range(2)] == ["v1", "v1"]
    assert replica.counts.unstored == 2


async def test_a_version_of_the_same_name_in_another_catalog_has_entries_of_its_own(
    replica: Replica, catalog: Database, tmp_path: Path
) -> None:
    other = Replica(catalog, tmp_path / "two", layers=replica.layers)
    other.apply(update("a", 1, "Gneiss."), update("b", 2, "Slate."))
    later = CREATED_AT.replace(year=2027)
    other.loaded = {name: replace(each, created_at=later) for name, each in other.loaded.items()}
    await replica.ask()
    assert (await other.ask()).hits[0].chunk.passage.text in {"Gneiss.", "Slate."}


async def test_a_value_that_cannot_be_read_is_a_miss(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica.layers, "look", lambda _key: b"\x00\x00")
    monkeypatch.setattr(replica.layers.memory, "look", lambda _key: b"\x00\x00")
    assert await replica.found() == BOTH


async def test_replicas_that_share_a_cache_are_each_as_fresh_as_they_are(
    replica: Replica, catalog: Database, tmp_path: Path
) -> None:
    behind = Replica(catalog, tmp_path / "behind", layers=replica.layers)
    behind.apply(update("a", 1, "Granite is a stone."), update("b", 2, "Chalk is a stone."))
    await replica.ask()
    assert (await behind.ask()).cache == "hit"
    replica.apply(update("a", 3))
    assert await replica.found() == {"red/b/2"}
    assert await behind.found() == BOTH
    behind.apply(update("a", 3))
    late = await behind.ask()
    assert (late.cache, [hit.chunk.chunk_id for hit in late.hits]) == ("hit", ["red/b/2"])


async def test_a_hit_that_shows_what_is_not_held_is_found_out(catalog: Database, tmp_path: Path) -> None:
    """As a mistake in the keys would have it: the entry of a moment ago under the key of now."""
    memory = MemoryCache(10**7, 600)
    replica = Replica(catalog, tmp_path / "one", layers=Layers(memory), check_every=1)
    replica.apply(update("a", 1, "Granite."))
    await replica.ask()
    await replica.ask()
    await checked(replica, 1)
    assert replica.counts.stale == 0
    (value,) = (cast(bytes, memory.look(key)) for key in list(memory._held))
    replica.apply(update("a", 2))
    await replica.ask()
    for key in list(memory._held):
        memory.keep(key, value)
    await replica.ask()
    await checked(replica, 2)
    assert replica.counts.stale == 1


async def checked(replica: Replica, count: int) -> None:
    for _ in range(1000):
        if replica.counts.checked >= count:
            return
        await asyncio.sleep(0)
    pytest.fail("the hit was never checked")
