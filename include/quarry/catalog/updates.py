"""The log as an index follows it: the present state of each document that changed, and how far that goes."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.columns import same_document
from include.quarry.catalog.log import head, rows_of
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage

_DOCUMENTS_PER_QUERY = 500
_DOCUMENTS_PER_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Follow:
    """What an index follows: one corpus, through one chunker and one vector space."""

    corpus: str
    chunker: str
    fingerprint: str


Takes = Callable[[DocumentUpdate], bool]
"""Whether an index is to hold this document; told by an update without its chunks."""


def everything(_update: DocumentUpdate) -> bool:
    """What an index takes that is no shard."""
    return True


@dataclass(frozen=True, slots=True)
class Page:
    """Updates ready to apply, without vectors. Where there are more, `rest` says after which `seq` they stand, and
    `until` where they end. `overtaken` is the first change that belonged here, and of whose document the log has by now
    only a later one: an index that applies the page has not seen it."""

    updates: list[DocumentUpdate]
    rest: int | None
    until: int
    overtaken: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What an index lacks, of which the first page is read, and the watermark that it reaches by applying it all.

    A document whose chunks still wait for vectors is left out and holds the watermark back; later documents do not
    wait for it. If it was deleted on the way to its present version, that delete is an update: it wins at once. One
    that was moved stays where it was until it can be shown where it went. `waiting` counts the documents left out.
    """

    page: Page
    watermark: int
    waiting: int

    @property
    def updates(self) -> list[DocumentUpdate]:
        """Those of the first page."""
        return self.page.updates


def read_stretch(
    connection: sa.Connection,
    follow: Follow,
    after: int,
    ahead: Collection[tuple[DocumentKey, int]] = (),
    takes: Takes = everything,
) -> Stretch:
    """What changed after `after`, except the (document, seq) pairs that were applied `ahead` of the watermark."""
    until = head(connection, follow.corpus)
    deleted_meanwhile = _deletes(connection, follow, after, _lacks_vectors(documents, follow))
    ready = _ready(connection, follow, after, until)
    updates = _taken(connection, follow, [*deleted_meanwhile, *ready], ahead, takes)
    waiting = _count_waiting(connection, follow, after, ready)
    watermark = _first_waiting(connection, follow, after) - 1 if waiting else until
    return Stretch(Page(updates, _rest(ready), until), watermark, waiting)


def read_rest(
    connection: sa.Connection,
    follow: Follow,
    before: Page,
    ahead: Collection[tuple[DocumentKey, int]] = (),
    takes: Takes = everything,
) -> Page:
    """The page after `before`, whose `rest` is not None; it may be read in a later transaction.

    A document that changed between the pages stands beyond `until` by then and is left to the next stretch, as one is
    that comes to be ready meanwhile and held the watermark back.
    """
    assert before.rest is not None  # noqa: S101 - whoever asks has looked
    ready = _ready(connection, follow, before.rest, before.until)
    overtaken = _overtaken(connection, follow, before.rest, before.until)
    return Page(_taken(connection, follow, ready, ahead, takes), _rest(ready), before.until, overtaken)


def read_deletes(connection: sa.Connection, follow: Follow, after: int) -> list[DocumentUpdate]:
    """The newest delete after `after` of each document that had one, also of those that have come back since; not of
    what was moved and waits."""
    return _updates(connection, follow, _deletes(connection, follow, after, ~_moved_and_waiting(follow)))


def read_gone(connection: sa.Connection, follow: Follow, after: int) -> list[DocumentUpdate]:
    """The same of those that are deleted now, or came back and wait for vectors: what has to go at once."""
    is_gone = sa.or_(documents.c.deleted, _lacks_vectors(documents, follow))
    return _updates(connection, follow, _deletes(connection, follow, after, is_gone, ~_moved_and_waiting(follow)))


def news(connection: sa.Connection, follow: Follow) -> tuple[int, int]:
    """A cheap pair that differs whenever `read_stretch` may find something new: newest change, newest vector."""
    newest_vector = sa.select(sa.func.max(vectors.c.id)).scalar_subquery()
    return head(connection, follow.corpus), int(connection.scalar(sa.select(newest_vector)) or 0)


def expected_contents(connection: sa.Connection, follow: Follow) -> list[tuple[str, int]]:
    """Every (chunk_id, doc_version) that an index at the head of the log must hold, and nothing else.

    Documents that wait for vectors are left out: see `waiting_documents`.
    """
    c, waiting = chunks.c, waiting_documents(connection, follow)
    query = sa.select(c.chunk_id, c.doc_version, c.corpus, c.tenant, c.doc_id)
    rows = connection.execute(query.where(c.corpus == follow.corpus, c.chunker == follow.chunker))
    return [(row.chunk_id, row.doc_version) for row in rows if _key(row) not in waiting]


def count_chunks(connection: sa.Connection, follow: Follow) -> int:
    """How many chunks an index at the head of the log holds when none waits for its vector: what a build has to do."""
    c = chunks.c
    query = sa.select(sa.func.count()).select_from(chunks)
    return int(connection.scalar(query.where(c.corpus == follow.corpus, c.chunker == follow.chunker)) or 0)


def waiting_documents(connection: sa.Connection, follow: Follow) -> set[DocumentKey]:
    """The documents whose present version no index can hold yet, for want of a cut or of vectors."""
    d = documents.c
    query = sa.select(d.corpus, d.tenant, d.doc_id).where(d.corpus == follow.corpus, _is_waiting(follow))
    return {_key(row) for row in connection.execute(query)}


def _is_waiting(follow: Follow) -> sa.ColumnElement[bool]:
    """Of a document: no index can hold its present version yet, or not yet the one that it was moved to."""
    return sa.or_(_lacks_vectors(documents, follow), _moved_and_waiting(follow))


def _lacks_vectors(table: sa.FromClause, follow: Follow) -> sa.ColumnElement[bool]:
    """Of a document: a chunk has no vector yet, or this chunker has not cut it yet."""
    its_chunks = sa.and_(same_document(chunks, table), chunks.c.chunker == follow.chunker)
    same_text = sa.and_(vectors.c.fingerprint == follow.fingerprint, vectors.c.text_hash == chunks.c.text_hash)
    without_vector = sa.exists().where(its_chunks, ~sa.exists().where(same_text))
    return sa.and_(~table.c.deleted, sa.or_(~sa.exists().where(its_chunks), without_vector))


def _moved_and_waiting(follow: Follow) -> sa.ColumnElement[bool]:
    moved, there = documents.c, documents.alias("there")
    same_tenant = sa.and_(there.c.corpus == moved.corpus, there.c.tenant == moved.tenant)
    waits = sa.exists().where(same_tenant, there.c.doc_id == moved.moved_to, _lacks_vectors(there, follow))
    return sa.and_(moved.deleted, moved.moved_to.is_not(None), waits)


def _count_waiting(
    connection: sa.Connection, follow: Follow, after: int, ready: Sequence[sa.Row[*tuple[Any, ...]]]
) -> int:
    """How many changed documents wait. Where all that are ready are on one page, none is looked at once more: a flood
    has thousands that wait, and every look would pass them all again."""
    d = documents.c
    changed = sa.select(sa.func.count()).select_from(documents).where(d.corpus == follow.corpus, d.seq > after)
    if _rest(ready) is not None:
        return int(connection.scalar(changed.where(_is_waiting(follow))) or 0)
    return int(connection.scalar(changed) or 0) - len(ready)


def _first_waiting(connection: sa.Connection, follow: Follow, after: int) -> int:
    """Of the changes that the index has not seen, the first of a document that waits; one does."""
    c, d = changes.c, documents.c
    query = (
        sa.select(c.seq)
        .join(documents, same_document(changes, documents))
        .where(c.corpus == follow.corpus, c.seq > after, d.seq > after, _is_waiting(follow))
        .order_by(c.seq)
        .limit(1)
    )
    return int(connection.scalars(query).one())


def _overtaken(connection: sa.Connection, follow: Follow, after: int, until: int) -> int | None:
    c, d = changes.c, documents.c
    query = sa.select(sa.func.min(c.seq)).select_from(documents).join(changes, same_document(changes, documents))
    first = connection.scalar(query.where(d.corpus == follow.corpus, d.seq > until, c.seq > after, c.seq <= until))
    return None if first is None else int(first)


def _deletes(
    connection: sa.Connection, follow: Follow, after: int, *conditions: sa.ColumnElement[bool]
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The newest delete of each document that meets the conditions, shaped as a row of `_ready`."""
    c, d = changes.c, documents.c
    query = (
        sa.select(d.corpus, d.tenant, d.doc_id, d.first_accepted_at, sa.func.max(c.seq).label("seq"))
        .add_columns(sa.func.max(c.doc_version).label("version"), sa.true().label("deleted"))
        .join(changes, same_document(changes, documents))
        .where(d.corpus == follow.corpus, d.seq > after, c.seq > after, c.kind == "delete", *conditions)
        .group_by(d.corpus, d.tenant, d.doc_id, d.first_accepted_at)
    )
    return connection.execute(query).all()


def _taken(
    connection: sa.Connection,
    follow: Follow,
    rows: Sequence[sa.Row[*tuple[Any, ...]]],
    ahead: Collection[tuple[DocumentKey, int]],
    takes: Takes,
) -> list[DocumentUpdate]:
    """The updates of these documents, except those that are applied already or belong to another shard, of which no
    chunk is read."""
    own = [row for row in rows if (_key(row), row.seq) not in ahead and takes(_update(row, ()))]
    return [
        update
        for start in range(0, len(own), _DOCUMENTS_PER_QUERY)
        for update in _updates(connection, follow, own[start : start + _DOCUMENTS_PER_QUERY])
    ]


def _rest(ready: Sequence[sa.Row[*tuple[Any, ...]]]) -> int | None:
    return int(ready[-1].seq) if len(ready) == _DOCUMENTS_PER_PAGE else None


def _ready(connection: sa.Connection, follow: Follow, after: int, until: int) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """A page of them, by `seq`."""
    d = documents.c
    columns = (d.corpus, d.tenant, d.doc_id, d.seq, d.version, d.deleted, d.uri, d.title, d.metadata)
    query = (
        sa.select(*columns, d.first_accepted_at)
        .where(d.corpus == follow.corpus, d.seq > after, d.seq <= until, ~_is_waiting(follow))
        .order_by(d.seq)
        .limit(_DOCUMENTS_PER_PAGE)
    )
    return connection.execute(query).all()


def _updates(
    connection: sa.Connection, follow: Follow, rows: Sequence[sa.Row[*tuple[Any, ...]]]
) -> list[DocumentUpdate]:
    cut: defaultdict[DocumentKey, list[sa.Row[*tuple[Any, ...]]]] = defaultdict(list)
    for of_some in rows_of(chunks, [_key(row) for row in rows if not row.deleted]):
        query = sa.select(chunks).where(of_some, chunks.c.chunker == follow.chunker)
        for chunk in connection.execute(query.order_by(chunks.c.ordinal)):
            cut[_key(chunk)].append(chunk)
    return [_update(row, () if row.deleted else tuple(_chunk(row, chunk) for chunk in cut[_key(row)])) for row in rows]


def _update(row: sa.Row[*tuple[Any, ...]], chunks: tuple[Chunk, ...]) -> DocumentUpdate:
    return DocumentUpdate(row.seq, _key(row), row.version, chunks, first_accepted_at=row.first_accepted_at)


def _chunk(document: sa.Row[*tuple[Any, ...]], row: sa.Row[Any]) -> Chunk:
    return Chunk(
        chunk_id=row.chunk_id,
        key=_key(document),
        doc_version=row.doc_version,
        ordinal=row.ordinal,
        uri=document.uri,
        title=document.title,
        passage=Passage(row.text, row.context, row.start, row.end, row.tokens),
        metadata=document.metadata,
    )


def _key(row: sa.Row[*tuple[Any, ...]]) -> DocumentKey:
    return DocumentKey(row.corpus, row.tenant, row.doc_id)
