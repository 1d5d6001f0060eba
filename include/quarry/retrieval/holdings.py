"""What an index holds of each tenant, by name: two indexes of one version give the same name exactly when they hold
the same of that tenant.

The watermark cannot be that name. It moves with every tenant's changes, and documents are applied ahead of it while an
earlier one waits for vectors; for the same reason the newest `seq` of a tenant says nothing of the ones before. So the
name is a digest: the sum, modulo 2^256, of the SHA-256 of (doc_id, seq) over the documents that have chunks here. A
`seq` is given to one change only, and a version's chunker and vectors make the same chunks of it everywhere, so
(doc_id, seq) stands for everything that a query can see of a document. Sums do not mind the order or the batches in
which changes came; a document that came and went leaves the name as it was, and so it should, for what is held is the
same again.

A name that came back must not be taken for one that never left: `moves` counts the applies that touched the tenant in
this process. And while an apply is under way, or one has failed halfway until its documents were applied once more, the
three parts of an index hold different things, which have no name: then there is none.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from include.quarry.records import DocumentKey, DocumentUpdate
from include.quarry.retrieval.digest import hexadecimal
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.protocol import Holding


@dataclass(frozen=True, slots=True)
class _Standing:
    total: int = 0
    moves: int = 0
    changing: frozenset[DocumentKey] = frozenset()


_NOTHING = _Standing()


class Holdings:
    """The names of one index, whose passages say what it holds. One writer, many readers: a reader takes one immutable
    record, never half of a change."""

    def __init__(self, passages: PassageTable) -> None:
        self._passages = passages
        self._standings = {tenant: _Standing(total) for tenant, total in passages.totals.items()}

    def of(self, tenant: str) -> Holding | None:
        """What is held of a tenant; None while that is changing."""
        standing = self._standings.get(tenant, _NOTHING)
        return None if standing.changing else Holding(hexadecimal(standing.total), (standing.moves,))

    @contextmanager
    def changing(self, updates: Sequence[DocumentUpdate]) -> Iterator[None]:
        """The updates are applied inside; if that fails, their tenants have no name until it succeeds."""
        touched: dict[str, set[DocumentKey]] = {}
        for update in updates:
            touched.setdefault(update.key.tenant, set()).add(update.key)
        for tenant, keys in touched.items():
            before = self._standings.get(tenant, _NOTHING)
            self._standings[tenant] = replace(before, moves=before.moves + 1, changing=before.changing | keys)
        yield
        for tenant, keys in touched.items():
            now, total = self._standings[tenant], self._passages.totals.get(tenant, 0)
            self._standings[tenant] = replace(now, total=total, changing=now.changing - keys)


def together(shards: Iterable[Holding | None]) -> Holding | None:
    """What several shards hold of a tenant: what one index would, since each document lies in one of them. They are not
    looked at in one moment, but if each has moved as often as before, none has moved."""
    total, moves = 0, list[int]()
    for shard in shards:
        if shard is None:
            return None
        total += int(shard.name, 16)
        moves += shard.moves
    return Holding(hexadecimal(total), tuple(moves))
