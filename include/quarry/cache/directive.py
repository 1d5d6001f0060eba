"""What a request may ask of the cache: the header Cache-Control of RFC 9111, section 5.2.1."""

from typing import Literal

Caching = Literal["use", "renew", "avoid"]
"""Answer from the cache and keep what is new; compute and keep it; compute and keep nothing."""


def caching_of(header: bytes) -> Caching:
    """`no-store` avoids the cache, `no-cache` and `max-age=0` renew what it has; other words change nothing."""
    words = {word.strip().lower() for word in header.split(b",")}
    if b"no-store" in words:
        return "avoid"
    return "renew" if words & {b"no-cache", b"max-age=0"} else "use"
