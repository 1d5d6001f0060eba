"""The shards of an index version that one process of several holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

from include.quarry.errors import Unavailable
from include.quarry.records import DocumentUpdate, Scope, Vectors
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.placement import shard_of
from include.quarry.retrieval.protocol import Holding
from include.quarry.retrieval.sharded import parts_of
from include.quarry.specs import IndexSpec
from include.quarry.stores.servers import StoreServers


class ShardGroup:
    """Follows the log like an index, and takes of it what belongs to its shards; it is searched shard by shard."""

    waits = True

    def __init__(self, spec: IndexSpec, version: str, shards: Mapping[int, Index], watermark: int) -> None:
        self.spec = spec
        self.version = version
        self._shards = shards
        self._watermark = watermark

    @classmethod
    def load(
        cls,
        spec: IndexSpec,
        version: str,
        folder: Path,
        scratch: Path,
        *,
        group: int,
        groups: int,
        servers: StoreServers,
    ) -> Self:
        """Every `groups`-th shard of a snapshot, from the `group`-th on; none of a version that is whole. See
        `Index.load`."""
        numbered = list(enumerate(parts_of(folder)))[group::groups] if spec.shards.count > 1 else []
        shards = {number: Index.load(part, scratch / part.name, servers=servers) for number, part in numbered}
        return cls(spec, version, shards, min((shard.watermark for shard in shards.values()), default=0))

    @property
    def watermark(self) -> int:
        """The `seq` up to which its shards have applied the log."""
        return self._watermark

    def shard(self, number: int) -> Index:
        """Raises `Unavailable` when this process does not hold it."""
        if number not in self._shards:
            raise Unavailable(
                f"shard {number} of index version {self.version} is not held here, but {sorted(self._shards)} are; set "
                "the same number of shard groups for all"
            )
        return self._shards[number]

    def takes(self, update: DocumentUpdate) -> bool:
        """Whether a document belongs to a shard that is held here."""
        return bool(self._shards) and shard_of(self.spec.shards, update) in self._shards

    def apply(self, updates: Sequence[DocumentUpdate], watermark: int) -> None:
        """See `Index.apply`. The updates are those that it takes."""
        for number, shard in self._shards.items():
            shard.apply([update for update in updates if shard_of(self.spec.shards, update) == number], watermark)
        self._watermark = max(self._watermark, watermark)

    def holding(self, _tenant: str) -> Holding | None:
        """A part of a version is not asked by itself, so nobody needs to know."""
        return None

    def find(self, _queries: Sequence[str], _vectors: Vectors, _k: int, _scope: Scope) -> NoReturn:
        """A part of a version answers nobody by itself: always raises `Unavailable`."""
        raise Unavailable(f"index version {self.version} is held here in part; ask the replicas that scatter queries")
