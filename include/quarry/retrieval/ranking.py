"""From what the parts of an index propose to the hits that are shown."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count, islice

from include.quarry.records import Chunk, DocumentKey, Hit, Scored
from include.quarry.retrieval.fusion import reciprocal_rank_fusion
from include.quarry.retrieval.protocol import Lists
from include.quarry.stores.updates import best

ChunksOf = Callable[[Sequence[str]], list[Chunk]]
"""The chunks that are held, of those asked for, in that order."""


def merge(parts: Sequence[Lists], depth: int) -> Lists:
    """The lists of several indexes as if they were of one: by falling score, then by chunk_id, `depth` of each."""
    dense = [hit for part in parts for hit in part.dense]
    lexical = [hit for part in parts for hit in part.lexical]
    return Lists(_best(dense, depth), _best(lexical, depth))


def fuse(lists: Lists) -> dict[str, float]:
    """Fused score of each chunk, best first."""
    return reciprocal_rank_fusion(_ids(lists))


def rank(lists: Lists, k: int, chunks_of: ChunksOf) -> list[Hit]:
    """The `k` best of the lists together that can be shown. While an index is being changed a list may hold a chunk
    that is gone already, or two versions of a document: the first is left out, of the second only the newer is
    shown."""
    fused = iter(fuse(lists).items())
    ranks = {name: dict(zip(chunk_ids, count(1), strict=False)) for name, chunk_ids in _ids(lists).items()}
    hits: list[Hit] = []
    newest: dict[DocumentKey, int] = {}
    while part := dict(islice(fused, k - len(hits))):
        for chunk in chunks_of(list(part)):
            newest[chunk.key] = max(chunk.doc_version, newest.get(chunk.key, 0))
            own = {name: found[chunk.chunk_id] for name, found in ranks.items() if chunk.chunk_id in found}
            hits.append(Hit(chunk, part[chunk.chunk_id], own))
        hits = [hit for hit in hits if hit.chunk.doc_version >= newest[hit.chunk.key]]
    return hits


def _ids(lists: Lists) -> Mapping[str, list[str]]:
    return {name: [hit.chunk_id for hit in hits] for name, hits in lists._asdict().items()}


def _best(hits: Sequence[Scored], depth: int) -> list[Scored]:
    return best([hit.chunk_id for hit in hits], [hit.score for hit in hits], depth)
