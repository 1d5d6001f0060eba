"""Which shard of an index version holds a document: always the same one, from its first update to its last."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

from include.quarry.errors import InvalidInput
from include.quarry.records import DocumentKey, DocumentUpdate, Scope
from include.quarry.specs import ShardSpec


def shard_of(spec: ShardSpec, update: DocumentUpdate) -> int:
    """The number of the shard, `[0, spec.count)`. Raises `InvalidInput` for an update that does not say when the
    document was first accepted, where that decides."""
    if spec.by == "tenant":
        return _hashed(spec, update.key.tenant)
    if spec.by == "hash":
        return _hashed(spec, *update.key)
    if update.first_accepted_at is None:
        raise InvalidInput(
            f"document {update.key} does not say when it was first accepted; shards by time need it: read it from the "
            "log"
        )
    return _window(spec, update.first_accepted_at) % spec.count


def place_of_key(spec: ShardSpec, key: DocumentKey) -> int | None:
    """The number of the shard, where the key alone decides."""
    return None if spec.by == "time" else shard_of(spec, DocumentUpdate(0, key, 0))


def shards_in(spec: ShardSpec, scope: Scope) -> Sequence[int]:
    """The shards that documents of a scope can lie in."""
    return [_hashed(spec, scope.tenant)] if spec.by == "tenant" else range(spec.count)


def _hashed(spec: ShardSpec, *parts: str) -> int:
    return int.from_bytes(blake2b(json.dumps(parts).encode(), digest_size=8).digest()) % spec.count


def _window(spec: ShardSpec, accepted_at: datetime) -> int:
    """Windows follow one another without end and take the shards in turn."""
    day = accepted_at.astimezone(UTC)
    return day.toordinal() if spec.window == "day" else day.year * 12 + day.month - 1
