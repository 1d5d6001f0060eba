"""What every projection of the log asks of an update before it touches its state."""

from collections.abc import Callable, Iterable
from heapq import nsmallest

import numpy as np

from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Float32, Scope, Scored, Vectors

# bf16 vectors renormalised in fp32 stay within 1e-6 of length one; the slack only tells rounding from a mistake.
_LENGTH_TOLERANCE = 1e-2
_MANY = 8


def newest(updates: Iterable[DocumentUpdate], last_seq: Callable[[DocumentKey], int]) -> list[DocumentUpdate]:
    """The one update of each document that counts: the highest `seq`, if it is above the document's last one."""
    winners: dict[DocumentKey, DocumentUpdate] = {}
    for update in updates:
        winner = winners.get(update.key)
        if update.seq > (winner.seq if winner else last_seq(update.key)):
            winners[update.key] = update
    return list(winners.values())


def check_chunks(updates: Iterable[DocumentUpdate]) -> None:
    """Raises `InvalidInput` when a document carries one chunk_id twice, since it could not be counted afterwards."""
    for update in updates:
        ids = [chunk.chunk_id for chunk in update.chunks]
        if len(set(ids)) < len(ids):
            twice = sorted({chunk_id for chunk_id in ids if ids.count(chunk_id) > 1})
            raise InvalidInput(f"document {update.key} carries chunk_id {twice[0]!r} twice; number equal texts apart")


def check_vectors(updates: Iterable[DocumentUpdate], fingerprint: str, dimensions: int) -> None:
    """Raises `ForeignVectors`, or `InvalidInput` when vectors are missing, misshapen or not of length one."""
    for update in updates:
        if update.vectors is not None:
            check_space(update.vectors, fingerprint, dimensions)
        held = 0 if update.vectors is None else len(update.vectors)
        if held != len(update.chunks):
            raise InvalidInput(
                f"document {update.key} has {len(update.chunks)} chunks but {held} vectors; send one each"
            )


def check_space(vectors: Vectors, fingerprint: str, dimensions: int) -> None:
    """Raises `ForeignVectors`, or `InvalidInput` for values that are no `[n, d]` rows of length one."""
    if vectors.fingerprint != fingerprint:
        raise ForeignVectors(
            f"vectors of space {vectors.fingerprint!r} offered to an index of space {fingerprint!r}; "
            "encode with the embedding spec of the index, or build an index version of the other spec"
        )
    values = vectors.values
    if values.size and (values.ndim != 2 or values.shape[1] != dimensions):
        raise InvalidInput(f"vectors have shape {values.shape}; this index takes [n, {dimensions}]")
    lengths = np.einsum("ij,ij->i", values, values) if values.size else np.ones(0)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))
    if wrong.size:
        row = int(wrong[0])
        raise InvalidInput(f"vector {row} has squared length {lengths[row]}; normalise each row to length one")


def check_k(k: int) -> None:
    """Raises `InvalidInput` unless at least one result is wanted."""
    if k < 1:
        raise InvalidInput(f"k is {k}; ask for at least 1 result")


def fields(chunk: Chunk) -> dict[str, str]:
    """What a filter can name: the chunk's metadata, with `doc_id` and `uri` of the document on top."""
    return {**chunk.metadata, "doc_id": chunk.key.doc_id, "uri": chunk.uri}


def in_scope(chunk: Chunk, scope: Scope) -> bool:
    """Whether a query of this scope may see the chunk."""
    own = fields(chunk)
    return chunk.key.tenant == scope.tenant and all(own.get(name) == value for name, value in scope.filters.items())


def score(rows: Float32, query: Float32) -> Float32:
    """Inner product of each row `[n, d]` with the query `[d]`, summed in float64 row by row.

    Every adapter that holds the vectors scores its final candidates here. A SIMD kernel may round one row
    differently at another place in the matrix; this sum does not, so equal vectors tie and results compare.
    """
    summed = np.einsum("ij,j->i", rows.astype(np.float64), query.astype(np.float64))
    return np.asarray(summed, dtype=np.float32)


def best(ids: Iterable[str], scores: Iterable[float], k: int) -> list[Scored]:
    """The `k` best by falling score, then by chunk_id."""
    found = [(-score, chunk_id) for score, chunk_id in zip(scores, ids, strict=True)]
    # Rows of one table, say, may all have the same words: then thousands tie, and sorting them takes six times as long.
    ranked = nsmallest(k, found) if len(found) > _MANY * k else sorted(found)[:k]
    return [Scored(chunk_id, -score) for score, chunk_id in ranked]
