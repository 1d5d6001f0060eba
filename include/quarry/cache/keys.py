"""What names a cached value: a digest, so that no query, tenant or passage can be read off a key."""

from hashlib import blake2b


def key_of(*parts: str) -> str:
    """64 hex digits over the parts. Each goes in with its length, so no two lists of parts can run into one another."""
    digest = blake2b(digest_size=32)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.hexdigest()
