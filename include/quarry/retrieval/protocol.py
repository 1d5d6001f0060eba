"""The ports of retrieval: what answers queries, whole, and one shard of it, wherever that is held."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from include.quarry.records import Chunk, Hit, Scope, Scored, Vectors, WordCounts
from include.quarry.specs import IndexSpec


class Lists(NamedTuple):
    """What one query found, by meaning and by words, each list best first."""

    dense: list[Scored]
    lexical: list[Scored]


class Proposed(NamedTuple):
    """What one index proposes to each query, and the `seq` up to which it had applied the log before it looked."""

    watermark: int
    lists: list[Lists]


class Found(NamedTuple):
    """The hits of each query, how fresh they are at least, and the numbers of the shards that could not be asked."""

    hits: list[list[Hit]]
    watermark: int
    missing: tuple[int, ...] = ()


class Holding(NamedTuple):
    """What an index holds of one tenant: a name that is equal for two indexes of one version exactly when they hold the
    same, and how often that moved in this process, since what is held may change and change back."""

    name: str
    moves: tuple[int, ...]


class SearchIndex(Protocol):
    """One index version that can be searched: an `Index`, or its shards."""

    spec: IndexSpec
    version: str

    @property
    def watermark(self) -> int:
        """The `seq` up to which all of it has applied the log."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a search waits for a server, and so must not hold up whoever has other work meanwhile."""
        ...

    def holding(self, tenant: str) -> Holding | None:
        """What every search finds that begins and ends while this stays equal; None while it changes, and where
        nobody can say."""
        ...

    def find(self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope) -> Found:
        """The `k` best of each query; `vectors` is `[q, d]`. Raises `Unavailable` when it cannot be answered."""
        ...


class Shard(Protocol):
    """One shard of an index version. Every verb raises `Unavailable` when the shard is down."""

    def counts(self, queries: Sequence[str]) -> list[WordCounts]:
        """How rare the words of each query are here."""
        ...

    def propose(
        self,
        queries: Sequence[str],
        vectors: Vectors,
        depth: int,
        scope: Scope,
        counts: Sequence[WordCounts] | None = None,
    ) -> Proposed:
        """What each query finds here, `depth` a list; `vectors` is `[q, d]`. With `counts`, one a query, words are as
        rare as these say."""
        ...

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are held, of those asked for, in that order."""
        ...

    def standing(self) -> int:
        """The `seq` up to which it has applied the log."""
        ...
