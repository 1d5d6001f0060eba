"""Comparing two sets of documents by digests: cheap where they are equal, and exact about where they are not.

Each side is read once into 256 sums, a bucket by the first byte of the key's hash (a Merkle tree of two levels). Only
where sums differ is a bucket read again, and its members listed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from include.quarry.records import DocumentKey
from include.quarry.retrieval.digest import hexadecimal, term

_BUCKETS = 256
Documents = Callable[[], Iterable[tuple[DocumentKey, str]]]
"""Each document that one side holds, once, with its version or a hash of its content; can be read again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A document that the two sides hold differently; None where a side does not hold it."""

    key: DocumentKey
    left: str | None
    right: str | None

    def __str__(self) -> str:
        what = "missing" if self.right is None else "in excess" if self.left is None else "differs"
        return f"{'/'.join(self.key)} {what}"


@dataclass(frozen=True, slots=True)
class Compared:
    """How two sides compare: how many documents each holds, what over, and what differs."""

    left: int
    right: int
    digest: str
    differences: tuple[Difference, ...]


def compare(left: Documents, right: Documents) -> Compared:
    """The differences of two sides, by document."""
    ours, theirs = _Sums(left()), _Sums(right())
    unequal = {place for place in range(_BUCKETS) if ours.sums[place] != theirs.sums[place]}
    differences = tuple(_differences(left, right, unequal)) if unequal else ()
    return Compared(ours.count, theirs.count, hexadecimal(sum(ours.sums)), differences)


def _differences(left: Documents, right: Documents, unequal: set[int]) -> Iterator[Difference]:
    ours = {key: version for key, version in left() if _bucket(key) in unequal}
    theirs = {key: version for key, version in right() if _bucket(key) in unequal}
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield Difference(key, ours.get(key), theirs.get(key))


class _Sums:
    """The digests of one side."""

    def __init__(self, documents: Iterable[tuple[DocumentKey, str]]) -> None:
        self.sums = [0] * _BUCKETS
        self.count = 0
        for key, version in documents:
            self.sums[_bucket(key)] += term("\x1f".join((*key, version)), 0)
            self.count += 1


def _bucket(key: DocumentKey) -> int:
    return sha256("\x1f".join(key).encode("utf-8", "surrogatepass")).digest()[0]
