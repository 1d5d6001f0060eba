"""Reciprocal rank fusion: one list out of several whose scores cannot be compared."""

from collections.abc import Mapping, Sequence

RANK_CONSTANT = 60


def reciprocal_rank_fusion(lists: Mapping[str, Sequence[str]], k: int = RANK_CONSTANT) -> dict[str, float]:
    """The score of each chunk of all lists, best first; each list is ordered best first and holds a chunk at most once.

    score(c) = sum over the lists that hold c of 1 / (k + rank(c)), k = 60: Cormack, Clarke and Büttcher, "Reciprocal
    Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009. Ties go to the smaller
    chunk_id, and the lists are summed by name, so their order does not matter.
    """
    scores: dict[str, float] = {}
    for name in sorted(lists):
        for place, chunk_id in enumerate(lists[name], k + 1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) - 1 / place
    return {chunk_id: -score for score, chunk_id in sorted(zip(scores.values(), scores, strict=True))}
