"""One entry of a journal: a line of three fields, parted by tabs, which JSON writes as `\\t` and so never holds.

    SHA-256 of the body <tab> body <tab> content or nothing <newline>

The body is the audit record, and holds no content: `writer`, `number` and `before`, the hash of the writer's entry
before, come first, so that every entry vouches for all that stand before it. The content, for feedback, is no part of
the chain: it is forgotten earlier.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

GENESIS = "0" * 64
"""What stands for the hash before the first entry of a chain."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who did what, and what came of it: no query, no passage, no answer.

    `facts` are those of the action: `corpus`, `index_version`, `watermark`, `chunks`, `documents`, `outcome`, `tier`,
    `usage`, `cost`, ...
    """

    at: datetime
    action: str
    status: int
    tenant: str | None = None
    subject: str | None = None
    query_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it was read: `body` is the text that was hashed, `fields` what it says."""

    hash: str
    body: str
    fields: Mapping[str, Any]
    content: Mapping[str, Any] | None

    @property
    def number(self) -> int:
        """1, 2, 3, ... within the chain of its writer."""
        return int(self.fields["number"])

    @property
    def writer(self) -> str:
        """Whose chain it belongs to."""
        return str(self.fields["writer"])


def encode_body(writer: str, number: int, before: str, record: AuditRecord) -> bytes:
    """The bytes that are hashed."""
    return orjson.dumps(
        {
            "writer": writer,
            "number": number,
            "before": before,
            "at": record.at,
            "action": record.action,
            "status": record.status,
            "tenant": record.tenant,
            "subject": record.subject,
            "query_id": record.query_id,
            **record.facts,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def encode_line(hash_of_body: str, body: bytes, content: Mapping[str, Any] | None) -> bytes:
    """The whole line."""
    kept = b"" if content is None else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"%b\t%b\t%b\n" % (hash_of_body.encode(), body, kept)


def decode_line(line: bytes) -> Entry:
    """The entry of a whole line, without its newline. Raises `ValueError` for what is none.

    Content that cannot be read is left out: the record counts.
    """
    hash_of_body, body, content = line.split(b"\t")
    fields = orjson.loads(body)
    if not isinstance(fields, dict) or not {"writer", "number", "before", "at"} <= fields.keys():
        raise ValueError("the body is no audit record")
    return Entry(hash_of_body.decode(), body.decode(), fields, _content(content))


def read_fields(body: str) -> Mapping[str, Any]:
    """What a body says; nothing where it is no record, which whoever verifies it says."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def hash_of(body: bytes) -> str:
    """64 hex digits."""
    return sha256(body).hexdigest()


def _content(content: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
