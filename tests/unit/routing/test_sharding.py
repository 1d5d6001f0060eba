"""Versions in shards: built one shard after another, proven whole, promoted and gone back from like any other."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import find_version
from include.quarry.errors import IncompleteIndex
from include.quarry.records import DocumentKey, DocumentUpdate, Scope
from include.quarry.retrieval.sharded import parts_of, shard_name
from include.quarry.routing import sharding
from include.quarry.routing.audit import audit_passages, audit_vectors, load_passages, load_stores, sample_chunks
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, roll_back
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec, ShardSpec
from include.quarry.stores.servers import StoreServers
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder, HashEncoder

WAYS = {"hash": ShardSpec(3), "tenant": ShardSpec(2, "tenant"), "time": ShardSpec(2, "time", "day")}


def in_shards(way: ShardSpec) -> IndexSpec:
    return replace(SPEC, shards=way)


@pytest.fixture
def stones(corpus: Corpus) -> Corpus:
    """Ten documents of three tenants, one of them deleted again."""
    for number in range(9):
        corpus.put(f"d{number}", f"Stone {number}.", tenant=("red", "blue", "default")[number % 3])
    corpus.put("gone", "Stone that is gone.")
    corpus.delete("gone")
    corpus.embed()
    return corpus


def snapshot_of(version_id: str, corpus: Corpus) -> Path:
    with corpus.database.read() as connection:
        return Path(find_version(connection, version_id).snapshot)


@pytest.mark.parametrize("way", WAYS)
def test_a_version_in_shards_is_built_and_proven_to_hold_what_the_log_says(
    stones: Corpus, routing_settings: Settings, way: str
) -> None:
    built = build_version("v1", "main", in_shards(WAYS[way]), routing_settings, patience_s=0)
    stones.delete("d2")
    stones.put("d3", "Stone 3, polished.", tenant="red")
    stones.embed()
    proof = check_completeness("v1", routing_settings)
    whole = build_version("whole", "main", SPEC, routing_settings, patience_s=0)
    assert (built["chunks"], proof["chunks"], whole["chunks"]) == (9, 8, 8)
    assert proof["digest"] == proof["log_digest"] == check_completeness("whole", routing_settings)["digest"]
    assert len(parts_of(snapshot_of("v1", stones))) == WAYS[way].count


def test_a_build_that_died_goes_on_with_the_shard_that_was_not_finished(
    stones: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, built, build_shard = in_shards(WAYS["hash"]), [], sharding.build_shard

    def dying(version, number, *rest, save):  # type: ignore[no-untyped-def]
        if number == 2 and 2 not in built:
            built.append(number)
            raise OSError("killed")
        built.append(number)
        build_shard(version, number, *rest, save=save)

    monkeypatch.setattr(sharding, "build_shard", dying)
    with pytest.raises(OSError, match="killed"):
        build_version("v1", "main", spec, routing_settings, patience_s=0)
    stones.put("late", "Stone that came late.")
    stones.embed()
    assert build_version("v1", "main", spec, routing_settings, patience_s=0)["watermark"] == 11
    assert built == [0, 1, 2, 2]
    assert check_completeness("v1", routing_settings)["chunks"] == 10
    assert not (routing_settings.home / "indexes" / "v1" / "building").exists()


def test_building_again_brings_every_shard_up_to_date_or_changes_nothing(
    stones: Corpus, routing_settings: Settings
) -> None:
    spec = in_shards(WAYS["hash"])
    build_version("v1", "main", spec, routing_settings, patience_s=0)
    before = snapshot_of("v1", stones)
    assert build_version("v1", "main", spec, routing_settings, patience_s=0)["watermark"] == 11
    assert snapshot_of("v1", stones) == before
    stones.put("late", "Stone that came late.")
    stones.embed()
    built = build_version("v1", "main", spec, routing_settings, patience_s=0)
    assert (built["watermark"], built["chunks"]) == (12, 10)
    assert snapshot_of("v1", stones) != before


def test_a_shard_that_lost_a_document_is_not_proven(
    stones: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "shard_of", lambda spec, update: 0 if update.key.doc_id != "d4" else 99)
    build_version("v1", "main", in_shards(ShardSpec(2, "time")), routing_settings, patience_s=0)
    with pytest.raises(IncompleteIndex, match="differs from the log"):
        check_completeness("v1", routing_settings)


def test_a_document_in_two_shards_is_not_proven(
    stones: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Everywhere(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    monkeypatch.setattr(sharding, "shard_of", lambda spec, update: Everywhere())
    build_version("v1", "main", in_shards(WAYS["time"]), routing_settings, patience_s=0)
    with pytest.raises(IncompleteIndex, match=r"in shard 1, and it belongs to shard \{0\}"):
        check_completeness("v1", routing_settings)


async def test_resharding_is_promoted_followed_and_gone_back_from(
    stones: Corpus, routing_settings: Settings, tmp_path: Path
) -> None:
    build_version("whole", "main", SPEC, routing_settings, patience_s=0)
    build_version("shards", "main", in_shards(WAYS["hash"]), routing_settings, patience_s=0)
    promote("whole", routing_settings)
    residents = ResidentIndexes(stones.database, stones.lake, tmp_path, lambda spec: HashEncoder(), interval_s=0.02)
    residents.start()

    async def until(version: str, expected: set[str]) -> None:
        tick = threading.Event()
        for _ in range(1000):
            resident = residents.find("main") or residents.load("main")
            found = await resident.live.retrieve("stone", top_k=10, scope=Scope("default"))
            held = {hit.chunk.key.doc_id for hit in found.hits}
            if (found.index_version, held) == (version, expected):
                return
            tick.wait(0.02)
        pytest.fail(f"{found.index_version} finds {held}, not {version} {expected}")

    await until("whole", {"d2", "d5", "d8"})
    promote("shards", routing_settings)
    await until("shards", {"d2", "d5", "d8"})
    stones.delete("d5")
    stones.put("late", "Stone that came late.")
    stones.embed()
    await until("shards", {"d2", "d8", "late"})
    roll_back("main", "a test", routing_settings)
    await until("whole", {"d2", "d8", "late"})
    residents.stop()


def test_the_audits_see_every_shard(stones: Corpus, routing_settings: Settings, database: Database) -> None:
    build_version("v1", "main", in_shards(WAYS["hash"]), routing_settings, patience_s=0)
    snapshot = snapshot_of("v1", stones)
    tables = load_passages(snapshot)
    with database.read() as connection:
        assert audit_passages(connection, tables) == 9
    sample = sample_chunks(tables, 100, "seed")
    assert len(sample) == 9
    assert audit_vectors(load_stores(snapshot, "faiss", StoreServers()), sample, HashEmbedder()).lowest > 0.999


def test_a_shard_written_by_another_version_is_noticed(stones: Corpus, routing_settings: Settings) -> None:
    """A snapshot is sealed over its shards: one that is swapped is damage."""
    build_version("v1", "main", in_shards(WAYS["hash"]), routing_settings, patience_s=0)
    parts = parts_of(snapshot_of("v1", stones))
    parts[0].rename(parts[0].with_name("aside"))
    parts[1].rename(parts[0])
    parts[0].with_name("aside").rename(parts[1])
    with pytest.raises(IncompleteIndex, match="damaged"):
        check_completeness("v1", routing_settings)


def test_updates_read_from_the_log_say_when_the_document_was_first_accepted(
    corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[DocumentKey, set[object]] = {}

    def note(spec: ShardSpec, update: DocumentUpdate) -> int:
        seen.setdefault(update.key, set()).add(update.first_accepted_at)
        return 0

    monkeypatch.setattr(sharding, "shard_of", note)
    spec = in_shards(WAYS["time"])
    for text in ("Granite.", "Granite, cut.", "Granite, cut and polished."):
        corpus.put("a", text)
        corpus.embed()
        build_version("v1", "main", spec, routing_settings, patience_s=0)
    corpus.delete("a")
    build_version("v1", "main", spec, routing_settings, patience_s=0)
    assert [len(times) for times in seen.values()] == [1]
    assert None not in next(iter(seen.values()))


def test_shards_are_named_in_their_order() -> None:
    assert sorted(map(shard_name, range(64))) == [shard_name(number) for number in range(64)]
