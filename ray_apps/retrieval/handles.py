"""A shard behind a Serve handle. The handle belongs to the replica's event loop; searches ask from threads."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import TimeoutError as Late
from time import monotonic
from typing import Any

from ray.serve.handle import DeploymentHandle

from include.quarry.errors import Unavailable
from include.quarry.records import Chunk, Scope, Vectors, WordCounts
from include.quarry.retrieval.protocol import Proposed
from ray_apps.gateway.remote import unwrapped
from ray_apps.retrieval.addresses import Address

_REST_S = 1.0


class HandleShard:
    """See `Shard`. Call it from any thread but the loop's own.

    A shard that was silent is not asked for a moment, so that few queries pay for waiting.
    """

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
        self._rests_until = 0.0

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
        if monotonic() < self._rests_until:
            raise Unavailable(f"{self} was silent a moment ago; see that its replicas run")

        async def ask() -> Any:
            with unwrapped():
                return await getattr(self._handle, verb).remote(self._address, *arguments)

        asked = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            return asked.result(self._timeout_s)
        except Late as error:
            asked.cancel()
            self._rests_until = monotonic() + _REST_S
            raise Unavailable(
                f"{self} did not answer within {self._timeout_s:g} s; see that its replicas run"
            ) from error

    def __str__(self) -> str:
        return f"shard {self._address.number} of index version {self._address.version}"
