"""Asks a retriever in this very process: a quick look without servers, whose latency is the library's alone."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from evaluation.drivers.protocol import Retrieved
from include.quarry.records import Hit, Scope


class Retrieval(Protocol):
    """What a retriever answers."""

    @property
    def hits(self) -> Sequence[Hit]: ...

    @property
    def watermark(self) -> int: ...


class Retriever(Protocol):
    """The one verb that is used here."""

    def retrieve(self, query: str, *, top_k: int, scope: Scope) -> Awaitable[Retrieval]: ...


class InProcessDriver:
    """Calls `retriever`, which holds `index_version`."""

    name = "in-process"

    def __init__(self, retriever: Retriever, *, tenant: str, index_version: str) -> None:
        self._retriever = retriever
        self._scope = Scope(tenant)
        self._index_version = index_version

    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        found = await self._retriever.retrieve(query, top_k=top_k, scope=self._scope)
        passages = tuple((hit.chunk.key.doc_id, hit.score) for hit in found.hits)
        return Retrieved(passages, self._index_version, found.watermark)

    async def close(self) -> None:
        """The retriever belongs to the caller."""
