"""One number for what an index holds: equal for two indexes exactly when they hold the same chunks."""

from collections.abc import Iterable
from hashlib import sha256

_MODULUS = 1 << 256


def digest(contents: Iterable[tuple[str, int]]) -> str:
    """64 hex digits over the (chunk_id, doc_version) pairs, in any order.

    The SHA-256 of each pair, summed modulo 2^256: no sorting, so a million pairs stream through in constant memory,
    and a pair held twice changes the sum (it would vanish from an exclusive or).
    """
    return hexadecimal(sum(term(chunk_id, doc_version) for chunk_id, doc_version in contents))


def term(name: str, number: int) -> int:
    """What one pair adds to the sum."""
    return int.from_bytes(sha256(f"{number}:{name}".encode("utf-8", "surrogatepass")).digest())


def hexadecimal(total: int) -> str:
    """The sum as 64 hex digits."""
    return f"{total % _MODULUS:064x}"
