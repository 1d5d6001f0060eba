"""One number for what an index holds: equal for two indexes exactly when they hold the same chunks."""

from collections.abc import Iterable
from hashlib import sha256

_MODULUS = 1 << 256


def digest(contents: Iterable[tuple[str, int]]) -> str:
    """64 hex digits over the (chunk_id, doc_version) pairs, in any order.

    The SHA-256 of each pair, summed modulo 2^256: no sorting, so a million pairs stream through in constant memory,
    and a pair held twice changes the sum (it would vanish from an exclusive or).
    """
    total = 0
    for chunk_id, doc_version in contents:
        total += int.from_bytes(sha256(f"{doc_version}:{chunk_id}".encode()).digest())
    return f"{total % _MODULUS:064x}"
