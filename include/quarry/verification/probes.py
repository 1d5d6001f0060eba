"""Probes: a fixed set of searches, put to two indexes that ought to find the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Scope, Vectors
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.sharded import ShardedIndex
from include.quarry.specs import StoreSpec
from include.quarry.stores.graph import Limits

_COUNT = 50
_HITS = 10
_WORDS = 8
ALIKE = 0.95
"""Of the places, where two indexes find nearly the same: graphs that were built apart, and words that were counted
while replaced documents were still there."""
Answer = list[tuple[str, float]]
"""(chunk_id, score) of the hits, best first."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Queries with their vectors `[n, d]`, and the tenants who ask them."""

    tenants: tuple[str, ...]
    queries: tuple[str, ...]
    vectors: Vectors


def choose_probes(index: Index | ShardedIndex, lake: VectorLake, count: int = _COUNT) -> Probes | None:
    """The first words of `count` of the index's passages, with the passages' own vectors; the same ones for the same
    contents. None where there is no passage."""
    chunk_ids = sorted(chunk_id for chunk_id, _ in index.contents())
    chosen = index.chunks(Random(index.version).sample(chunk_ids, min(count, len(chunk_ids))))  # noqa: S311 - no secret
    space = index.spec.embedding.fingerprint
    vectors = lake.look_up(space, [chunk.text_hash for chunk in chosen])
    chunks = [chunk for chunk in chosen if chunk.text_hash in vectors]
    if not chunks:
        return None
    return Probes(
        tuple(chunk.key.tenant for chunk in chunks),
        tuple(" ".join(chunk.passage.text.split()[:_WORDS]) for chunk in chunks),
        Vectors(space, np.stack([vectors[chunk.text_hash] for chunk in chunks]).astype(np.float32)),
    )


def answers(index: Index | ShardedIndex, probes: Probes) -> list[Answer]:
    """What the index finds for each of the probes."""
    found = []
    for number, (tenant, query) in enumerate(zip(probes.tenants, probes.queries, strict=True)):
        vector = Vectors(probes.vectors.fingerprint, probes.vectors.values[number : number + 1])
        (hits,) = index.find([query], vector, _HITS, Scope(tenant)).hits
        found.append([(hit.chunk.chunk_id, hit.score) for hit in hits])
    return found


def likeness(ours: Sequence[Answer], theirs: Sequence[Answer]) -> float:
    """Share of the places at which both show the same chunk, over all probes; 1 where nothing was found by either."""
    shares = [_share(one, other) for one, other in zip(ours, theirs, strict=True)]
    return sum(shares) / len(shares) if shares else 1.0


def is_exact(store: StoreSpec, chunks: int) -> bool:
    """Whether a store finds the same whatever order its rows lie in."""
    return store.adapter == "faiss" and (
        store.kind == "flat" or (store.kind == "auto" and chunks <= Limits().exact_rows)
    )


def _share(ours: Answer, theirs: Answer) -> float:
    same = sum(one == other for (one, _), (other, _) in zip(ours, theirs, strict=False))
    longest = max(len(ours), len(theirs))
    return same / longest if longest else 1.0
