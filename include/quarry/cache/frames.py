"""How a value travels to a cache that others share: with its key, so that an answer to another question is no answer.

A frame is a mark, one byte that says how the value is packed, the CRC-32 of what follows, 16 bytes of the key, and the
value. What does not read so (another release, a stranger, a server that mixed up its answers) is no value.
"""

import zlib

_MARK = b"QC1"
_PLAIN, _ZLIB = b"p", b"z"
_HEAD_BYTES = len(_MARK) + 1 + 4 + 16
_WORTH_BYTES = 1024  # a shorter value does not shrink by much
_LEVEL = 1  # passages shrink to a half in a fifth of a millisecond; higher levels take longer and win little
_MOST_BYTES = 64 * 2**20


def framed(key: str, value: bytes) -> bytes:
    """The value, packed for a cache on a server."""
    packing, packed = _PLAIN, value
    if len(value) >= _WORTH_BYTES:
        smaller = zlib.compress(value, _LEVEL)
        if len(smaller) < len(value):
            packing, packed = _ZLIB, smaller
    body = _name(key) + packed
    return b"".join((_MARK, packing, zlib.crc32(body).to_bytes(4), body))


def unframed(key: str, frame: bytes) -> bytes | None:
    """The value of this key, or None when the frame holds none."""
    body = frame[_HEAD_BYTES - 16 :]
    head = _MARK, int.from_bytes(frame[4:8]), _name(key)
    if len(frame) < _HEAD_BYTES or (frame[:3], zlib.crc32(body), body[:16]) != head:
        return None
    packed = body[16:]
    if frame[3:4] == _PLAIN:
        return packed
    return _inflated(packed) if frame[3:4] == _ZLIB else None


def _inflated(packed: bytes) -> bytes | None:
    """Bounded, since a few bytes can stand for a great many."""
    unpacking = zlib.decompressobj()
    try:
        value = unpacking.decompress(packed, _MOST_BYTES)
    except zlib.error:
        return None
    return value if unpacking.eof else None


def _name(key: str) -> bytes:
    return bytes.fromhex(key[:32])
