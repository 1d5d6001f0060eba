"""Reciprocal rank fusion: one list out of several whose scores cannot be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

RANK_CONSTANT = 60


class Fused(NamedTuple):
    """A chunk with its fused score and its rank (1 is best) in each list that holds it."""

    chunk_id: str
    score: float
    ranks: dict[str, int]


def reciprocal_rank_fusion(lists: Mapping[str, Sequence[str]], k: int = RANK_CONSTANT) -> list[Fused]:
    """All chunks of all lists, best first; each list is ordered best first and holds a chunk at most once.

    score(c) = sum over the lists that hold c of 1 / (k + rank(c)), k = 60: Cormack, Clarke and Büttcher, "Reciprocal
    Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009. Ties go to the better best
    rank, then to the smaller chunk_id, so the order of the lists does not matter.
    """
    ranks: dict[str, dict[str, int]] = {}
    for name in sorted(lists):
        for rank, chunk_id in enumerate(lists[name], 1):
            ranks.setdefault(chunk_id, {})[name] = rank
    # Ranks are summed in rising order, so that equal sets of ranks give equal floats and tie.
    ordered = [(sorted(own.values()), chunk_id) for chunk_id, own in ranks.items()]
    scored = [(-sum([1 / (k + rank) for rank in rising]), rising[0], chunk_id) for rising, chunk_id in ordered]
    scored.sort()
    return [Fused(chunk_id, -score, ranks[chunk_id]) for score, _, chunk_id in scored]
