"""Reading again what was set aside: the bytes that were kept, by the feed's description as it is now."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from include.quarry.catalog.quarantine import Original, Quarantined
from include.quarry.errors import Conflict
from include.quarry.feeds.feed_specs import FeedSpec, KafkaSpec, PostgresSpec, PubSubSpec
from include.quarry.feeds.messages import MessageReader
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.records import DocumentKey, RawDocument

Specs = Sequence[FeedSpec]


def read_again(found: Quarantined, original: Original | None, specs: Specs) -> Upserted | Deleted | None:
    """The change that was set aside; None for a message that, as is known by now, tells of none.

    Raises `InvalidInput` when it still cannot be understood, `Conflict` when it cannot even be tried.
    """
    if original is None:
        raise Conflict(
            f"{found.handle} had {found.size_bytes} bytes, too many to be kept (SHA-256 {found.sha256}); send it again "
            f"from {found.uri}, then drop it here"
        )
    if original.kind == "document":
        return _document(found, original)
    spec = next((spec for spec in specs if spec.feed == found.feed), None)
    if isinstance(spec, KafkaSpec | PubSubSpec) and original.kind == "message":
        mapping = None if spec.rows is None else spec.rows.mapping(spec.corpus)
        reader = MessageReader(spec.format, spec.corpus, mapping)
        key, value = original.detail.get("key"), None if original.detail.get("tombstone") else original.content
        return reader.read(value, None if key is None else base64.b64decode(key))
    if isinstance(spec, PostgresSpec) and original.kind == "row":
        return _row(spec, original)
    raise Conflict(
        f"{found.handle} came from the feed {found.feed!r}, which QUARRY_FEEDS does not describe; only its description "
        "says how to read it: put it back, or drop what is set aside"
    )


def _document(found: Quarantined, original: Original) -> Upserted:
    detail: Mapping[str, Any] = original.detail
    raw = RawDocument(
        key=found.key,
        uri=found.uri,
        content=original.content,
        content_type=detail.get("content_type", ""),
        title=detail.get("title"),
        metadata=detail.get("metadata") or {},
    )
    at, replaces = detail.get("at"), detail.get("replaces")
    return Upserted(
        raw,
        None if at is None else datetime.fromisoformat(at),
        None if replaces is None else DocumentKey(*replaces),
    )


def _row(spec: PostgresSpec, original: Original) -> Upserted | Deleted:
    row, mapping = json.loads(original.content), spec.rows.mapping(spec.corpus)
    key = mapping.key_of(row)
    if original.detail.get("deleted"):
        return Deleted(key)
    return Upserted(mapping.document_of(row, f"postgres://{spec.full_table}/{key.doc_id}"))
