"""What makes two deliveries of a document the same."""

import json

from include.quarry.records import RawDocument, hash_bytes


def content_hash(raw: RawDocument) -> str:
    """Over everything that a user would call the document: a new title or uri is a change too."""
    described = json.dumps([raw.uri, raw.content_type, raw.title, dict(raw.metadata)], sort_keys=True)
    return hash_bytes(described.encode() + b"\0" + raw.content)
