"""Shards held by several processes: together they answer as one index, and one that is down is marked."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import Unavailable
from include.quarry.records import Scope
from include.quarry.retrieval.elsewhere import ShardsElsewhere
from include.quarry.retrieval.protocol import Shard
from include.quarry.retrieval.shard_group import ShardGroup
from include.quarry.routing.building import build_version
from include.quarry.routing.opening import OpenVersion, opens_elsewhere, opens_group, opens_here
from include.quarry.settings import Settings
from include.quarry.specs import ShardSpec
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder

GROUPS = 2
SHARDED = replace(SPEC, shards=ShardSpec(3))
ASK = ["stone"], HashEmbedder().encode(["stone"]), 20, Scope("default")


class Cluster:
    """Groups of shards as a cluster would hold them; `down` is the group that does not answer."""

    def __init__(self, corpus: Corpus, settings: Settings, version_id: str, folder: Path) -> None:
        with corpus.database.read() as connection:
            self.version = find_version(connection, version_id)
        self.down: int | None = None
        self.groups, self.followers = [], []
        for group in range(GROUPS):
            open_version = opens_group(corpus.database, corpus.lake, group=group, groups=GROUPS)
            index, follower = open_version(self.version, scratch(folder, f"group-{group}"))
            assert isinstance(index, ShardGroup)
            self.groups.append(index)
            self.followers.append(follower)
        self.whole = opens_here(corpus.database, corpus.lake)

    def shard(self, _version: IndexVersion, number: int) -> Shard:
        cluster = self

        class Remote:
            def __getattr__(self, verb: str) -> object:
                if cluster.down == number % GROUPS:
                    raise Unavailable("the machine is gone")
                return getattr(cluster.groups[number % GROUPS].shard(number), verb)

        return Remote()  # type: ignore[return-value]

    def opens(self, partial_results: str) -> OpenVersion:
        return opens_elsewhere(self.whole, self.shard, partial_results=partial_results)  # type: ignore[arg-type]


def scratch(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.fixture
def cluster(corpus: Corpus, routing_settings: Settings, tmp_path: Path) -> Iterator[Cluster]:
    for number in range(12):
        corpus.put(f"d{number}", f"Stone {number}.")
    corpus.embed()
    build_version("v1", "main", SHARDED, routing_settings, patience_s=0)
    yield Cluster(corpus, routing_settings, "v1", tmp_path)


def test_groups_hold_every_shard_between_them_and_answer_as_one(cluster: Cluster, tmp_path: Path) -> None:
    index, _ = cluster.opens("error")(cluster.version, scratch(tmp_path, "elsewhere"))
    here, _ = cluster.whole(cluster.version, scratch(tmp_path, "here"))
    assert isinstance(index, ShardsElsewhere)
    assert index.find(*ASK) == here.find(*ASK)
    assert len(index.find(*ASK).hits[0]) == index.watermark == 12


def test_each_group_follows_the_log_for_its_own_shards(cluster: Cluster, corpus: Corpus, tmp_path: Path) -> None:
    index, follower = cluster.opens("error")(cluster.version, scratch(tmp_path, "elsewhere"))
    corpus.put("late", "Stone that came late.")
    corpus.embed()
    corpus.delete("d3")
    for each in cluster.followers:
        each.step()
    found = index.find(*ASK)
    assert {hit.chunk.key.doc_id for hit in found.hits[0]} == {"late", *(f"d{n}" for n in range(12) if n != 3)}
    assert (found.watermark, index.watermark) == (14, 12)
    follower.step()
    assert index.watermark == 14


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_group_that_goes_down_marks_its_shards_and_leaves_the_others(
    cluster: Cluster, tmp_path: Path, group: int
) -> None:
    marked, follower = cluster.opens("mark")(cluster.version, scratch(tmp_path, "mark"))
    refused, _ = cluster.opens("error")(cluster.version, scratch(tmp_path, "error"))
    cluster.down = group
    found = marked.find(*ASK)
    assert found.missing == tuple(range(group, 3, GROUPS))
    assert 0 < len(found.hits[0]) < 12
    assert follower.step() == 0
    with pytest.raises(Unavailable, match="the machine is gone"):
        refused.find(*ASK)
    cluster.down = None
    assert marked.find(*ASK).missing == ()


def test_a_version_begins_to_answer_only_when_every_shard_stands(cluster: Cluster, tmp_path: Path) -> None:
    cluster.down = 1
    with pytest.raises(Unavailable):
        cluster.opens("mark")(cluster.version, scratch(tmp_path, "elsewhere"))


def test_a_version_that_is_whole_stays_with_the_replicas(
    cluster: Cluster, corpus: Corpus, routing_settings: Settings, tmp_path: Path
) -> None:
    build_version("whole", "main", SPEC, routing_settings, patience_s=0)
    groups = Cluster(corpus, routing_settings, "whole", scratch(tmp_path, "two"))
    assert groups.followers[0].step() == 0
    with pytest.raises(Unavailable, match="shard 0 of index version whole is not held here"):
        groups.groups[0].shard(0)
    index, _ = groups.opens("mark")(groups.version, scratch(tmp_path, "here"))
    assert len(index.find(*ASK).hits[0]) == 12


def test_a_part_of_a_version_answers_nobody(cluster: Cluster) -> None:
    with pytest.raises(Unavailable, match="in part"):
        cluster.groups[0].find(*ASK)
