"""Document events: JSON that any producer can write, as `include/schemas/document-event.schema.json` describes it."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from include.quarry.errors import InvalidInput
from include.quarry.feeds.keys import document_key
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.records import RawDocument

SCHEMA = Path(__file__).parents[2] / "schemas" / "document-event.schema.json"
_SHOWN_CHARS = 200


def read_event(value: bytes, corpus: str) -> Upserted | Deleted:
    """The change that an event tells of. Raises `InvalidInput` saying where it leaves the schema."""
    event = read_object(value)
    if problems := sorted(map(_words, _validator().iter_errors(event))):
        raise InvalidInput(f"{problems[0][1]}; see include/schemas/{SCHEMA.name}")
    key, at = document_key(corpus, event["tenant"], event["doc_id"]), _time(event.get("at"))
    if event["op"] == "delete":
        return Deleted(key, at)
    raw = RawDocument(
        key=key,
        uri=event.get("uri") or f"quarry://{corpus}/{key.doc_id}",
        content=_content(event),
        content_type=event.get("content_type", "text/plain"),
        title=event.get("title"),
        metadata=event.get("metadata", {}),
    )
    replaced = event.get("replaces")
    return Upserted(raw, at, None if replaced is None else document_key(corpus, key.tenant, replaced))


def read_tombstone(message_key: bytes | None, corpus: str) -> Deleted:
    """The delete that a message without a value stands for: its key is `tenant/doc_id`. Raises `InvalidInput`."""
    text = (message_key or b"").decode("utf-8", "replace")
    tenant, slash, doc_id = text.partition("/")
    if not slash:
        raise InvalidInput(f"a message without a value needs the key `tenant/doc_id`; this one has {text[:80]!r}")
    return Deleted(document_key(corpus, tenant, doc_id))


def read_object(value: bytes) -> dict[str, Any]:
    """A JSON object. Raises `InvalidInput`."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the message is not JSON ({error}); it begins with {value[:40]!r}") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"the message is a JSON {type(document).__name__}, not an object")
    return document


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _words(error: ValidationError) -> tuple[bool, str]:
    """Whether the problem lies in the whole rather than in a field, and what it is."""
    match error.kind.name:
        case "oneOf":
            return True, "an upsert has either text, or content with its content_type"
        case "falseSchema":
            return True, "a delete has no text, content or replaces"
    where = "/".join(str(part) for part in error.instance_path) or "the event"
    return False, f"{where}: {error.message[:_SHOWN_CHARS]}"


def _content(event: Mapping[str, Any]) -> bytes:
    if "text" in event:
        return str(event["text"]).encode("utf-8", "replace")  # a lone surrogate is no text, and no reason to stop
    try:
        return base64.b64decode(event["content"], validate=True)
    except ValueError as error:
        raise InvalidInput(f"content is not base64 ({error}); encode the bytes of the document with base64") from error


def _time(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        time = datetime.fromisoformat(at)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an hour before the year 1, say
        raise InvalidInput(f"at is {at[:80]!r}, not a time in ISO 8601 such as 2026-03-01T12:00:00Z") from error
