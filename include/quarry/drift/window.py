"""What arrived between two times, as the statistics see it: vectors, each with its chunk and its document."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from include.quarry.drift.words import Words
from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Float32, Vectors

MAX_DOCUMENTS = 400
MAX_CHUNKS = 4
"""Bounds of a sample: some hundred documents show a shift that matters, and a few chunks stand for a document."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors `[n, d]` with the chunk, the document and the words of each row. A query is a document of its own.

    Raises `InvalidInput` when the four do not have the same length.
    """

    vectors: Vectors
    chunk_ids: tuple[str, ...]
    documents: tuple[str, ...]
    words: tuple[Words, ...]

    def __post_init__(self) -> None:
        lengths = [len(self.vectors), len(self.chunk_ids), len(self.documents), len(self.words)]
        if len(set(lengths)) != 1:
            raise InvalidInput(
                "{} vectors, {} chunk ids, {} documents and {} sets of words; a row has one of each".format(*lengths)
            )

    def __len__(self) -> int:
        return len(self.chunk_ids)

    @property
    def values(self) -> Float32:
        """The vectors themselves, `[n, d]`."""
        return self.vectors.values

    @property
    def document_count(self) -> int:
        """How many documents `m` the rows come from."""
        return len(set(self.documents))

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> Self:
        """Those rows, in the order given."""
        values = self.vectors.values[np.asarray(rows, dtype=np.intp)]
        chunk_ids, documents = (tuple(names[row] for row in rows) for names in (self.chunk_ids, self.documents))
        words = tuple(self.words[row] for row in rows)
        return type(self)(Vectors(self.vectors.fingerprint, values), chunk_ids, documents, words)

    def joined(self, other: Self) -> Self:
        """The rows of both."""
        vectors = Vectors(self.vectors.fingerprint, np.concatenate([self.values, other.values]))
        chunk_ids, documents = self.chunk_ids + other.chunk_ids, self.documents + other.documents
        return type(self)(vectors, chunk_ids, documents, self.words + other.words)

    def words_by_document(self) -> list[Words]:
        """The words of each document, in the order of their names."""
        found: dict[str, list[Words]] = {}
        for document, words in zip(self.documents, self.words, strict=True):
            found.setdefault(document, []).append(words)
        return [np.unique(np.concatenate(found[document])) for document in sorted(found)]

    def sampled(self, seed: int, *, documents: int = MAX_DOCUMENTS, chunks: int = MAX_CHUNKS) -> Self:
        """Random documents, and random chunks of each: at most so many, sorted by document."""
        random = np.random.default_rng([seed, 3])
        names, owners = np.unique(np.array(self.documents), return_inverse=True)
        chosen = random.permutation(len(names))[:documents]
        order = random.permutation(len(self))
        order = order[np.argsort(owners[order], kind="stable")]
        sizes = np.bincount(owners, minlength=len(names))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.take(order[(rank < chunks) & np.isin(owners[order], chosen)])


@dataclass(frozen=True, slots=True)
class Window:
    """The texts that arrived in `[since, until)`, and how many documents of that time have no vectors yet."""

    texts: Embedded
    since: datetime
    until: datetime
    waiting: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def check_space(fingerprint: str, texts: Embedded) -> None:
    """Raises `ForeignVectors` unless the texts live in the space of this fingerprint."""
    if texts.vectors.fingerprint != fingerprint:
        raise ForeignVectors(
            f"the window's vectors are of space {texts.vectors.fingerprint}, the reference is of {fingerprint}; "
            "embed the window with the spec of the live version, or make a reference for the new one"
        )


def sampled(window: Window, seed: int) -> Window:
    """The window with a bounded sample of its texts."""
    return replace(window, texts=window.texts.sampled(seed))
