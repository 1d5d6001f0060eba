"""A shard behind a Serve handle. The handle belongs to the replica's event loop; searches ask from threads."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import TimeoutError as Late
from typing import Any

from ray.serve.handle import DeploymentHandle

from include.quarry.errors import Unavailable
from include.quarry.records import Chunk, Scope, Vectors, WordCounts
from include.quarry.retrieval.protocol import Proposed
from ray_apps.gateway.remote import unwrapped
from ray_apps.retrieval.addresses import Address


class HandleShard:
    """See `Shard`. Call it from any thread but the loop's own."""

    def __init__(
        self,
        handle: DeploymentHandle[Any],
        loop: asyncio.AbstractEventLoop,
        address: Address,
        *,
        timeout_s: float,
    ) -> None:
        self._handle = handle
        self._loop = loop
        self._address = address
        self._timeout_s = timeout_s

    def counts(self, queries: Sequence[str]) -> list[WordCounts]:
        counts: list[WordCounts] = self._ask("counts", list(queries))
        return counts

    def propose(
        self,
        queries: Sequence[str],
        vectors: Vectors,
        depth: int,
        scope: Scope,
        counts: Sequence[WordCounts] | None = None,
    ) -> Proposed:
        proposed: Proposed = self._ask("propose", list(queries), vectors, depth, scope, counts)
        return proposed

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        chunks: list[Chunk] = self._ask("chunks", list(chunk_ids))
        return chunks

    def standing(self) -> int:
        return int(self._ask("standing"))

    def _ask(self, verb: str, *arguments: object) -> Any:
        async def ask() -> Any:
            with unwrapped():
                return await getattr(self._handle, verb).remote(self._address, *arguments)

        asked = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            return asked.result(self._timeout_s)
        except Late as error:
            asked.cancel()
            raise Unavailable(
                f"shard {self._address.number} of index version {self._address.version} did not answer within "
                f"{self._timeout_s:g} s; see that its replicas run"
            ) from error
