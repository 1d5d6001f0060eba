"""The quarantine: what could not be read, with the reason and the original, until a readable version arrives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import sqlalchemy as sa

from include.quarry.catalog.feed_schema import quarantine
from include.quarry.catalog.log import head
from include.quarry.errors import NotFound
from include.quarry.records import DocumentKey

Kind = Literal["document", "message", "row"]
KEPT_BYTES = 2**20
"""An original with more bytes than that is not kept; its length, its digest and where it came from are."""
_HANDLE_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Original:
    """What was offered, so that it can be read again: the bytes of a document, of a message or of a table's row.

    `detail` is a plain object with what came along: a document's content type and title, say, or a message's key.
    """

    kind: Kind
    content: bytes
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What was set aside; an earlier, readable version of the document stays searchable.

    `key` is the document's, or tells where the message stood in its stream. `at_seq` is the newest change of the corpus
    at that moment: a version of the document that came later is newer. `kept` says whether its bytes are here.
    """

    key: DocumentKey
    uri: str
    feed: str
    reason: str
    quarantined_at: datetime
    kind: Kind
    size_bytes: int
    sha256: str
    kept: bool
    at_seq: int

    @property
    def handle(self) -> str:
        """A short name of it: 12 hex digits."""
        return sha256("\x1f".join(self.key).encode("utf-8", "surrogatepass")).hexdigest()[:_HANDLE_DIGITS]


def set_aside(
    connection: sa.Connection,
    key: DocumentKey,
    uri: str,
    feed: str,
    reason: str,
    *,
    original: Original | None = None,
) -> None:
    """Record that something could not be read; the newest replaces an older one of the same document, and what that one
    was to replace."""
    before = connection.scalar(sa.select(quarantine.c.detail).where(_is(key))) or {}
    forget_quarantined(connection, key)
    original = original or Original("document", b"", {})
    moved = {"replaces": before["replaces"]} if before.get("replaces") and not original.detail.get("replaces") else {}
    kept = len(original.content) <= KEPT_BYTES
    connection.execute(
        sa.insert(quarantine).values(
            **key._asdict(),
            uri=_storable(uri),
            feed=feed,
            reason=_storable(reason),
            quarantined_at=datetime.now(UTC),
            kind=original.kind,
            content=original.content if kept else None,
            size_bytes=len(original.content),
            sha256=sha256(original.content).hexdigest(),
            detail=dict(original.detail) | moved,
            at_seq=head(connection, key.corpus),
        )
    )


def list_quarantine(
    connection: sa.Connection, corpus: str | None, tenant: str | None = None, *, limit: int | None = 100
) -> list[Quarantined]:
    """What was set aside most recently, newest first: of one corpus or all, of one tenant or, for the operator, all."""
    q = quarantine.c
    columns = [column for column in q if column.name not in ("content", "detail")]
    query = sa.select(*columns, q.content.is_not(None).label("kept")).order_by(q.quarantined_at.desc()).limit(limit)
    if corpus is not None:
        query = query.where(q.corpus == corpus)
    if tenant is not None:
        query = query.where(q.tenant == tenant)
    return [
        Quarantined(
            DocumentKey(row.corpus, row.tenant, row.doc_id),
            row.uri,
            row.feed,
            row.reason,
            row.quarantined_at,
            row.kind,
            row.size_bytes,
            row.sha256,
            row.kept,
            row.at_seq,
        )
        for row in connection.execute(query)
    ]


def find_quarantined(connection: sa.Connection, handle: str) -> Quarantined:
    """What goes by this short name. Raises `NotFound`."""
    for found in list_quarantine(connection, None, limit=None):
        if found.handle == handle:
            return found
    raise NotFound(
        f"nothing in quarantine is called {handle!r}: it was replayed, dropped, or a readable version came; "
        "`quarantine list` shows what there is"
    )


def read_original(connection: sa.Connection, key: DocumentKey) -> Original | None:
    """The original of what was set aside, None where it was too large to be kept."""
    q = quarantine.c
    row = connection.execute(sa.select(q.kind, q.content, q.detail).where(_is(key))).one_or_none()
    return None if row is None or row.content is None else Original(row.kind, row.content, row.detail)


def is_quarantined(connection: sa.Connection, found: Quarantined) -> bool:
    """Whether this very thing is still set aside, and nothing newer in its place."""
    at = connection.scalar(sa.select(quarantine.c.quarantined_at).where(_is(found.key)))
    return bool(at == found.quarantined_at)


def explain_anew(connection: sa.Connection, key: DocumentKey, reason: str) -> None:
    """Note why it cannot be read now."""
    connection.execute(sa.update(quarantine).where(_is(key)).values(reason=_storable(reason)))


def forget_quarantined(connection: sa.Connection, key: DocumentKey) -> bool:
    """Take it out; whether it was there."""
    return bool(connection.execute(sa.delete(quarantine).where(_is(key))).rowcount)


def count_quarantine(connection: sa.Connection, corpus: str) -> int:
    """How many documents of the corpus are set aside."""
    query = sa.select(sa.func.count()).select_from(quarantine).where(quarantine.c.corpus == corpus)
    return int(connection.scalar(query) or 0)


def count_by_feed(connection: sa.Connection) -> dict[str, int]:
    """How many are set aside of each feed that has any."""
    counted = sa.select(quarantine.c.feed, sa.func.count()).group_by(quarantine.c.feed)
    return {row.feed: int(row[1]) for row in connection.execute(counted)}


def _storable(text: str) -> str:
    """What every database takes as text: the poison may be in here too."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\\0")


def _is(key: DocumentKey) -> sa.ColumnElement[bool]:
    q = quarantine.c
    return sa.and_(q.corpus == key.corpus, q.tenant == key.tenant, q.doc_id == key.doc_id)
