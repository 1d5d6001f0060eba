"""Versions in shards: built one shard after another, proven whole, promoted and gone back from like any other."""

import pickle
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import find_version
from include.quarry.errors import Conflict, IncompleteIndex
from include.quarry.records import DocumentKey, DocumentUpdate, Scope
from include.quarry.retrieval.sharded import load_index, parts_of, shard_name
from include.quarry.routing import building, sharding
from include.quarry.routing.audit import audit_passages, audit_vectors, load_passages, load_stores, sample_chunks
from include.quarry.routing.building import BuildOne, build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, roll_back
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.sharding import BuiltShard
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


def stop_before_assembly(spec: IndexSpec, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shard is finished, and then the build dies."""
    with monkeypatch.context() as patch:
        patch.setattr(building, "assemble", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build_version("v1", "main", spec, settings, patience_s=0)


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

    def dying(version, number, *rest):  # type: ignore[no-untyped-def]
        built.append(number)
        if built == [0, 1, 2]:
            raise OSError("killed")
        return build_shard(version, number, *rest)

    monkeypatch.setattr(building, "build_shard", dying)
    with pytest.raises(OSError, match="killed"):
        build_version("v1", "main", spec, routing_settings, patience_s=0)
    stones.put("late", "Stone that came late.")
    stones.embed()
    assert build_version("v1", "main", spec, routing_settings, patience_s=0)["watermark"] == 11
    assert built == [0, 1, 2, 2]
    assert check_completeness("v1", routing_settings)["chunks"] == 10
    assert not (routing_settings.home / "indexes" / "v1" / "building").exists()


@pytest.mark.parametrize("torn", ["file cut short", "file missing", "no receipt"])
def test_a_torn_shard_is_not_taken_for_finished(
    stones: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    spec, built = in_shards(WAYS["hash"]), list[int]()
    stop_before_assembly(spec, routing_settings, monkeypatch)
    shard = routing_settings.home / "indexes" / "v1" / "building" / shard_name(1)
    if torn == "no receipt":
        (shard / "manifest.json").unlink()
    else:
        inner = next(path for path in sorted((shard / "store").iterdir()) if path.name != "manifest.json")
        inner.write_bytes(inner.read_bytes()[:-1]) if torn == "file cut short" else inner.unlink()

    def noted(version, number, *rest):  # type: ignore[no-untyped-def]
        built.append(number)
        return sharding.build_shard(version, number, *rest)

    monkeypatch.setattr(building, "build_shard", noted)
    build_version("v1", "main", spec, routing_settings, patience_s=0)
    assert built == [1]
    proof = check_completeness("v1", routing_settings)
    assert (proof["chunks"], proof["digest"]) == (9, proof["log_digest"])


def test_a_build_that_died_while_its_shards_moved_builds_none_again(
    stones: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = in_shards(WAYS["hash"])
    stop_before_assembly(spec, routing_settings, monkeypatch)
    home = routing_settings.home / "indexes" / "v1"
    (home / ".snapshot-11.partial").mkdir()
    (home / "building" / shard_name(0)).rename(home / ".snapshot-11.partial" / shard_name(0))
    monkeypatch.setattr(building, "build_shard", lambda *_: pytest.fail("built again"))
    build_version("v1", "main", spec, routing_settings, patience_s=0)
    assert check_completeness("v1", routing_settings)["chunks"] == 9


@pytest.mark.parametrize("spec", [SPEC, in_shards(WAYS["hash"])], ids=["whole", "sharded"])
def test_shards_built_elsewhere_in_any_order_make_the_version_that_one_process_builds(
    stones: Corpus, routing_settings: Settings, tmp_path: Path, spec: IndexSpec
) -> None:
    """Each is sent over as bytes, as it would be to another machine, and found to be finished when it is sent twice."""

    def elsewhere(build_one: BuildOne, numbers: Sequence[int], done: Mapping[int, BuiltShard]) -> None:
        assert done == {}
        with ThreadPoolExecutor(4) as pool:
            sent = [pickle.loads(pickle.dumps(build_one)) for _ in range(2)]
            twice = [list(pool.map(each, reversed(numbers))) for each in sent]
        assert twice[0] == twice[1]

    there = build_version("there", "main", spec, routing_settings, patience_s=0, each_shard=elsewhere)
    here = build_version("here", "main", spec, routing_settings, patience_s=0)
    assert (there["watermark"], there["chunks"]) == (here["watermark"], here["chunks"]) == (11, 9)
    digests = {check_completeness(version_id, routing_settings)["digest"] for version_id in ("there", "here")}
    assert len(digests) == 1
    for tenant in ("red", "blue", "default"):
        ask = ["stone"], HashEmbedder().encode(["Stone 4."]), 10, Scope(tenant)
        found = [
            load_index(snapshot_of(version_id, stones), tmp_path / version_id / tenant).find(*ask).hits
            for version_id in ("there", "here")
        ]
        assert found[0] == found[1]
        assert len(found[0][0]) == 3


def test_a_process_that_comes_too_late_leaves_nothing_of_a_shard(stones: Corpus, routing_settings: Settings) -> None:
    """It was taken for dead, and the build has ended without it."""
    late: list[BuildOne] = []

    def keep(build_one: BuildOne, numbers: Sequence[int], _done: Mapping[int, BuiltShard]) -> None:
        late.append(build_one)
        for number in numbers:
            build_one(number)

    build_version("v1", "main", in_shards(WAYS["hash"]), routing_settings, patience_s=0, each_shard=keep)
    with pytest.raises(Conflict, match="has ended; shard 1 is not wanted"):
        late[0](1)
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
