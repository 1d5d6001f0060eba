"""What becomes of a change in the transaction that accepts it. Functions here run inside that transaction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.log import (
    PreparedDocument,
    accept_delete,
    accept_deletes,
    accept_upsert,
    accept_upserts,
    age_of,
    documents_of_feed,
    find_document,
)
from include.quarry.catalog.messages import take_messages
from include.quarry.catalog.offsets import advance_offset, store_offset
from include.quarry.catalog.quarantine import (
    Original,
    Quarantined,
    explain_anew,
    forget_quarantined,
    is_quarantined,
    set_aside,
)
from include.quarry.feeds.protocol import Batch, Cleared, Deleted, Garbled, Upserted
from include.quarry.records import DocumentKey


@dataclass(frozen=True, slots=True)
class Cut:
    """An upsert ready to be accepted, and what it was."""

    document: PreparedDocument
    upserted: Upserted


Plain = Deleted | Cleared | Garbled
Ready = Plain | Cut


def due(connection: sa.Connection, feed: str, batch: Batch, ready: Sequence[Ready]) -> list[Ready] | None:
    """Move the feed past the batch; gives what of it counts, None where another reader has moved the feed."""
    if batch.messages is None:
        moved = advance_offset(connection, feed, batch.partition, batch.begins, batch.ends)
        return list(ready) if moved else None
    if batch.ends is not None:
        store_offset(connection, feed, batch.partition, batch.ends)
    new = take_messages(connection, feed, dict(batch.messages))
    counted = []
    for message, change in zip(batch.messages, ready, strict=True):
        if message.name in new:
            new.remove(message.name)  # a batch may hold it twice
            counted.append(change)
    return counted


def apply_all(connection: sa.Connection, feed: str, ready: Sequence[Ready]) -> list[str]:
    """`apply` each in its order; upserts of different documents that follow each other are accepted together."""
    outcomes: list[str] = []
    for run in _runs(ready):
        if isinstance(run, list):
            accepted = accept_upserts(connection, [(cut.document, cut.upserted.at) for cut in run], feed)
            outcomes += ["changed" if each.changed else "unchanged" for each in accepted]
        else:
            outcomes.append(apply(connection, feed, run))
    return outcomes


def _runs(ready: Sequence[Ready]) -> Iterator[list[Cut] | Ready]:
    run: dict[DocumentKey, Cut] = {}
    for change in ready:
        cut = change if isinstance(change, Cut) and change.upserted.replaces is None else None
        if run and (cut is None or cut.document.raw.key in run):
            yield [*run.values()]
            run = {}
        if cut is None:
            yield change
        else:
            run[cut.document.raw.key] = cut
    if run:
        yield [*run.values()]


def apply(connection: sa.Connection, feed: str, change: Ready) -> str:
    """Accept a change; gives whether that `changed` or `deleted` something, left it `unchanged`, or had to be
    `quarantined`."""
    match change:
        case Cut(document, Upserted(_, at, replaces)):
            accepted = accept_upsert(connection, document, feed, at)
            if replaces is not None and replaces != document.raw.key:
                accept_delete(connection, replaces, feed, at, moved_to=document.raw.key)
            return "changed" if accepted.changed else "unchanged"
        case Deleted(key, at, own, moved_to):
            if own and not _wrote(connection, feed, key):
                return "unchanged"
            gone = accept_delete(connection, key, feed, at, moved_to=moved_to)
            return "deleted" if gone is not None and gone.changed else "unchanged"
        case Cleared(at):
            accept_deletes(connection, documents_of_feed(connection, feed), feed, at)
            return "deleted"
        case Garbled():
            content = change.content
            original = None if content is None else Original(change.kind, content, change.detail)
            set_aside(connection, change.key, change.uri, feed, change.reason, original=original)
            return "quarantined"


def apply_warily(connection: sa.Connection, feed: str, changes: Sequence[Ready]) -> list[str]:
    """`apply` each on its own, and set aside those documents that the catalog cannot take."""
    outcomes = []
    for change in changes:
        try:
            with connection.begin_nested():
                outcomes.append(apply(connection, feed, change))
        except (ValueError, TypeError, sa.exc.StatementError) as error:
            if not isinstance(change, Cut) or isinstance(error, sa.exc.OperationalError):
                raise
            outcomes.append(apply(connection, feed, garbled(change.upserted, error)))
    return outcomes


def apply_again(connection: sa.Connection, found: Quarantined, change: Ready) -> str:
    """Accept what was set aside, as a new change, unless a newer version of its document has come since.

    Gives `applied`, `superseded`, `unreadable` with the reason noted, or `gone` where it is set aside no longer.
    """
    if not is_quarantined(connection, found):
        return "gone"
    if isinstance(change, Garbled):
        explain_anew(connection, found.key, change.reason)
        return "unreadable"
    forget_quarantined(connection, found.key)
    if isinstance(change, Cleared):
        return "superseded"  # no feed sets such a change aside
    key = change.document.raw.key if isinstance(change, Cut) else change.key
    if _is_newer(connection, key, found.at_seq):
        return "superseded"
    if isinstance(change, Deleted):
        accept_delete(connection, key, found.feed, change.at, replay_of=found.at_seq)
        return "applied"
    at, replaces = change.upserted.at, change.upserted.replaces
    accept_upsert(connection, change.document, found.feed, at, replay_of=found.at_seq)
    if replaces is not None and replaces != key and not _is_newer(connection, replaces, found.at_seq):
        accept_delete(connection, replaces, found.feed, at, replay_of=found.at_seq, moved_to=key)
    return "applied"


def garbled(change: Upserted, error: Exception) -> Garbled:
    """A document that was understood but cannot be taken in."""
    raw = change.raw
    detail: Mapping[str, Any] = {
        "content_type": raw.content_type,
        "title": raw.title,
        "metadata": dict(raw.metadata),
        "replaces": None if change.replaces is None else list(change.replaces),
        "at": None if change.at is None else change.at.isoformat(),
    }
    return Garbled(raw.key, raw.uri, f"{type(error).__name__}: {error}", raw.content, "document", detail)


def _wrote(connection: sa.Connection, feed: str, key: DocumentKey) -> bool:
    document = find_document(connection, key)
    return document is None or document.feed == feed


def _is_newer(connection: sa.Connection, key: DocumentKey, at_seq: int) -> bool:
    document = find_document(connection, key)
    return document is not None and age_of(connection, document.seq) > at_seq
