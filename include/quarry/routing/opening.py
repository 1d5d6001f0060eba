"""How a replica opens an index version: what it searches, and what keeps that fresh."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.elsewhere import ShardsElsewhere
from include.quarry.retrieval.protocol import SearchIndex, Shard
from include.quarry.retrieval.scatter import PartialResults
from include.quarry.retrieval.shard_group import ShardGroup
from include.quarry.retrieval.sharded import load_index
from include.quarry.routing.follower import Follower
from include.quarry.stores.servers import StoreServers

_NO_SERVERS = StoreServers()


class Follows(Protocol):
    """Keeps an opened version fresh."""

    def step(self) -> int:
        """Apply everything that is ready; gives how many documents still wait for vectors."""
        ...

    def look(self, connection: sa.Connection) -> Callable[[], int]:
        """Read what is ready, in a transaction that several may share; what this gives applies it, like `step`, or a
        part of it where it is much: then the next look goes on."""
        ...

    def take_over(self, other: "Follows") -> None:
        """Make sure, quickly, that this version shows nothing that is gone from the other one, in whose place it is to
        answer. Another thread may be in `step`."""
        ...


OpenVersion = Callable[[IndexVersion, Path], tuple[SearchIndex, Follows]]
"""Opens a version that has a snapshot, with its working files in the empty folder."""


def opens_here(
    database: Database,
    lake: VectorLake,
    *,
    servers: StoreServers = _NO_SERVERS,
    partial_results: PartialResults = "error",
) -> OpenVersion:
    """All of a version in this process."""

    def open_version(version: IndexVersion, scratch: Path) -> tuple[SearchIndex, Follows]:
        index = load_index(Path(version.snapshot), scratch, servers=servers, partial_results=partial_results)
        return index, Follower(database, lake, index, version.corpus, in_parts=True)

    return open_version


def opens_group(
    database: Database, lake: VectorLake, *, group: int, groups: int, servers: StoreServers = _NO_SERVERS
) -> OpenVersion:
    """The shards that the `group`-th of `groups` processes holds."""

    def open_version(version: IndexVersion, scratch: Path) -> tuple[SearchIndex, Follows]:
        index = ShardGroup.load(
            version.spec,
            version.version_id,
            Path(version.snapshot),
            scratch,
            group=group,
            groups=groups,
            servers=servers,
        )
        return index, Follower(database, lake, index, version.corpus, takes=index.takes, in_parts=True)

    return open_version


def opens_elsewhere(
    whole: OpenVersion, shard: Callable[[IndexVersion, int], Shard], *, partial_results: PartialResults
) -> OpenVersion:
    """A version in shards where its shards are, reached by `shard`; any other as `whole` does."""

    def open_version(version: IndexVersion, scratch: Path) -> tuple[SearchIndex, Follows]:
        count = version.spec.shards.count
        if count == 1:
            return whole(version, scratch)
        shards = [shard(version, number) for number in range(count)]
        index = ShardsElsewhere(version.spec, version.version_id, shards, partial_results=partial_results)
        return index, index

    return open_version
