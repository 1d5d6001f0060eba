"""What catalog and lake hold, side by side: read off the tables."""

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from include.quarry.catalog.columns import key_of, same_document
from include.quarry.catalog.quarantine import list_quarantine
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.catalog.updates import Follow, waiting_documents
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import UPLOAD_FEED, DocumentKey
from include.quarry.verification.buckets import Compared, Difference, compare

Explain = Callable[[Difference], str]


def corpora_of(connection: sa.Connection) -> set[str]:
    """Those that have a document or a change."""
    both = sa.union(sa.select(documents.c.corpus), sa.select(changes.c.corpus))
    return set(connection.scalars(both))


def log_and_documents(connection: sa.Connection, corpus: str) -> Compared:
    """The newest change of each document against the document: a change lost or doubled shows here.

    The changes of a document are numbered without a gap, so how many there are is part of what is compared.
    """
    c, d = changes.c, documents.c

    def in_log() -> Iterator[tuple[DocumentKey, str]]:
        columns = key_of(changes)
        counted = (sa.func.max(c.seq), sa.func.max(c.doc_version), sa.func.count() - 1 + sa.func.min(c.doc_version))
        query = sa.select(*columns, *counted).where(c.corpus == corpus).group_by(*columns)
        for *key, seq, version, count in connection.execute(query):
            yield DocumentKey(*key), f"seq {seq} version {version} of {count}"

    def in_documents() -> Iterator[tuple[DocumentKey, str]]:
        query = sa.select(*key_of(documents), d.seq, d.version).where(d.corpus == corpus)
        for *key, seq, version in connection.execute(query):
            yield DocumentKey(*key), f"seq {seq} version {version} of {version}"

    return compare(in_log, in_documents)


def documents_and_lake(connection: sa.Connection, follow: Follow, lake: VectorLake) -> Compared:
    """The present documents against those whose every passage is there, of this version only, and has a vector in one
    space: its row, and its place in a part that is there."""
    d = documents.c

    def in_catalog() -> Iterator[tuple[DocumentKey, str]]:
        query = sa.select(*key_of(documents), d.version).where(d.corpus == follow.corpus, ~d.deleted)
        for *key, version in connection.execute(query):
            yield DocumentKey(*key), f"version {version}"

    amiss = _cut_amiss(connection, follow)
    without = waiting_documents(connection, follow) | _with_lost_vectors(connection, follow, lake)

    def in_lake() -> Iterator[tuple[DocumentKey, str]]:
        held = ((key, version) for key, version in in_catalog() if key not in without)
        return ((key, f"{version} in part or doubled" if key in amiss else version) for key, version in held)

    return compare(in_catalog, in_lake)


def of_feed(connection: sa.Connection, feed: str, corpus: str) -> Iterator[tuple[DocumentKey, str]]:
    """The documents that a feed has brought, with the hashes of their contents."""
    d = documents.c
    where = (d.corpus == corpus, d.feed == feed, ~d.deleted)
    for *key, content in connection.execute(sa.select(*key_of(documents), d.content_hash).where(*where)):
        yield DocumentKey(*key), content


def explanations(connection: sa.Connection, corpus: str) -> Explain:
    """Why a document may stand in the catalog otherwise than in its source; empty where nothing explains it."""
    aside = {found.key for found in list_quarantine(connection, corpus, limit=None)}
    d = documents.c
    by_hand = sa.select(*key_of(documents)).where(d.corpus == corpus, d.feed == UPLOAD_FEED)
    users = {DocumentKey(*row) for row in connection.execute(by_hand)}

    def explain(difference: Difference) -> str:
        if difference.key in aside:
            return "in quarantine"
        return "a user changed it here" if difference.key in users else ""

    return explain


def _cut_amiss(connection: sa.Connection, follow: Follow) -> set[DocumentKey]:
    """Documents whose passages are not all there, numbered from 0 and up to the end of the text, or are not all of
    their present version.

    A chunker leaves out white space only. So words behind the last passage are those of a passage that is lost. The
    database reads each text and sends no more than what is behind.
    """
    c, d = chunks.c, documents.c
    key = key_of(chunks)
    cut = (
        sa.select(
            *key,
            (sa.func.count() == sa.func.max(c.ordinal) + 1).label("numbered"),
            sa.func.min(c.doc_version).label("oldest"),
            sa.func.max(c.doc_version).label("newest"),
            sa.func.max(c.end).label("end"),
        )
        .where(c.corpus == follow.corpus, c.chunker == follow.chunker)
        .group_by(*key)
        .subquery()
    )
    whole = sa.and_(cut.c.numbered, cut.c.oldest == d.version, cut.c.newest == d.version)
    behind = sa.func.substr(d.text, cut.c.end + 1)
    query = sa.select(*key_of(documents), whole.label("whole"), behind.label("behind")).join(
        cut, same_document(cut, documents)
    )
    suspects = connection.execute(query.where(~d.deleted, sa.or_(~whole, behind != "")))
    return {DocumentKey(*row[:3]) for row in suspects if not row.whole or row.behind.strip()}


def _with_lost_vectors(connection: sa.Connection, follow: Follow, lake: VectorLake) -> set[DocumentKey]:
    """Documents with a vector that the catalog believes to lie in a part where it does not."""
    v, lost = vectors.c, set[str]()
    parts = sa.select(v.part).where(v.fingerprint == follow.fingerprint, v.part.is_not(None)).distinct()
    for part in connection.scalars(parts).all():
        held = _hashes_of(lake, follow.fingerprint, part)
        query = sa.select(v.text_hash, v.position).where(v.fingerprint == follow.fingerprint, v.part == part)
        lost |= {
            row.text_hash
            for row in connection.execute(query)
            if row.position >= len(held) or held[row.position] != row.text_hash
        }
    if not lost:
        return set()
    c = chunks.c
    query = sa.select(*key_of(chunks), c.text_hash).where(c.corpus == follow.corpus, c.chunker == follow.chunker)
    return {DocumentKey(*row[:3]) for row in connection.execute(query) if row.text_hash in lost}


def _hashes_of(lake: VectorLake, fingerprint: str, part: str) -> list[str]:
    """The texts of a part in order; none where it cannot be read."""
    try:
        return lake.texts_of(fingerprint, part)
    except (OSError, ValueError):
        return []
