"""A group of shards as a deployment of its own: each replica holds every n-th shard of the versions on the routes."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ray import serve

from include.quarry.catalog.database import Database
from include.quarry.errors import Unavailable
from include.quarry.lake.vectors import VectorLake
from include.quarry.operations.installation import Installation
from include.quarry.records import Chunk, Float32, WordCounts
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.protocol import Proposed
from include.quarry.retrieval.shard_group import ShardGroup
from include.quarry.routing.opening import opens_group
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.scratch import Scratch
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec
from ray_apps.retrieval.addresses import ALWAYS, Address


@serve.deployment(name="Shards")
class ShardsDeployment:
    """Answers the replicas that scatter queries; see `Shard`. Follows the log and the routes like they do."""

    def __init__(self, settings: Settings, group: int, groups: int) -> None:
        self._scratch = Scratch(Installation(settings).home)
        database = Database(settings.catalog_url)
        lake = VectorLake(database, settings.lake_uri)
        self._indexes = ResidentIndexes(
            database,
            lake,
            self._scratch.path,
            _NoEncoder,
            interval_s=settings.follow_interval_s,
            always=ALWAYS,
            open_version=opens_group(database, lake, group=group, groups=groups, servers=settings.store_servers),
        )
        self._indexes.start()

    async def counts(self, address: Address, queries: Sequence[str]) -> list[WordCounts]:
        """See `Shard.counts`. Raises `Unavailable` while the shard is not loaded here, like the verbs below."""
        return (await self._shard(address)).counts(queries)

    async def propose(self, address: Address, *asked: Any) -> Proposed:
        """See `Shard.propose`, with its arguments."""
        return await asyncio.to_thread((await self._shard(address)).propose, *asked)

    async def chunks(self, address: Address, chunk_ids: Sequence[str]) -> list[Chunk]:
        """See `Shard.chunks`."""
        return (await self._shard(address)).chunks(chunk_ids)

    async def standing(self, address: Address) -> int:
        """See `Shard.standing`."""
        return (await self._shard(address)).standing()

    async def check_health(self) -> None:
        """Asked by Serve; a replica that no longer follows the log and the routes is replaced."""
        if not self._indexes.is_alive():
            raise RuntimeError("a background thread has ended")

    async def _shard(self, address: Address) -> Index:
        resident = await self._indexes.loaded(address.corpus)
        retriever = resident.retriever_of(address.version)
        if retriever is None or not isinstance(retriever.index, ShardGroup):
            raise Unavailable(f"index version {address.version} is not loaded by this group of shards yet; try again")
        return retriever.index.shard(address.number)


class _NoEncoder:
    """Queries come encoded."""

    def __init__(self, spec: EmbeddingSpec) -> None:
        self.spec = spec

    async def encode(self, _text: str) -> Float32:
        raise Unavailable("a group of shards encodes no queries; ask the replicas that scatter them")
