"""A shard behind a Serve handle. The handle belongs to the replica's event loop; searches ask from threads.

A group of shards may have several replicas, and one of them may be slow, or gone, or not have loaded the version yet.
So a question that is not answered for a while, or is refused, is put once more, and the first answer counts. Serve
sends it where fewer questions wait: those that a silent replica keeps are left with it for their time, so that it gets
few others. Only a question that nobody answers in time puts the shard to rest.
"""

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
_ATTEMPTS = 3
_A_WHILE = 0.1  # of the time that a shard has; many times what an answer takes
_EXTRA = 8  # questions under way at once that are put once more: a shard that drowns is not to be asked thrice


class HandleShard:
    """See `Shard`. Call it from any thread but the loop's own.

    A shard of which every replica was silent is not asked for a moment, so that few queries pay for waiting.
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
        self._extra = 0

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

        asked = asyncio.run_coroutine_threadsafe(self._first_answer(verb, arguments), self._loop)
        try:
            return asked.result(self._timeout_s)
        except Late as error:
            asked.cancel()
            self._rests_until = monotonic() + _REST_S
            raise Unavailable(
                f"{self} did not answer within {self._timeout_s:g} s; see that its replicas run"
            ) from error

    async def _first_answer(self, verb: str, arguments: tuple[object, ...]) -> Any:
        asked: set[asyncio.Task[Any]] = set()
        failed: Unavailable | None = None
        for attempt in range(_ATTEMPTS):
            if attempt and self._extra >= _EXTRA:
                break
            asked.add(self._asked(verb, arguments, extra=attempt > 0))
            done, asked = await asyncio.wait(
                asked, timeout=_A_WHILE * self._timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                try:
                    return task.result()
                except Unavailable as error:
                    failed = error
        for late in asyncio.as_completed(asked):
            try:
                return await late
            except Unavailable as error:
                failed = error
        raise failed or Unavailable(f"{self} was not asked")

    def _asked(self, verb: str, arguments: tuple[object, ...], *, extra: bool) -> asyncio.Task[Any]:
        """The question, once. It goes on when another answer came first."""

        async def ask() -> Any:
            async with asyncio.timeout(self._timeout_s):
                with unwrapped():
                    return await getattr(self._handle, verb).remote(self._address, *arguments)

        def ended(task: asyncio.Task[Any]) -> None:
            self._extra -= extra
            if not task.cancelled():
                task.exception()  # nobody may be waiting for it any more

        self._extra += extra
        task = self._loop.create_task(ask())
        task.add_done_callback(ended)
        return task

    def __str__(self) -> str:
        return f"shard {self._address.number} of index version {self._address.version}"
