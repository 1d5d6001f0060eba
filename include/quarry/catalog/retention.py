"""The end of old changes: the log keeps what somebody may still have to apply, and what its retention covers.

Who needs an old row? A follower needs every change after its watermark: that a document that waits for its vectors was
deleted on the way, and how far back that holds the watermark. So nothing goes that the snapshot of some index version
has not applied. A build from nothing, `min_seq` and the fencing of replays go by each document's newest change, which
always stays. The proof that log and documents agree counts a document's changes from the oldest that is there: so they
go from the oldest on, and a hole is still found. Drift looks at what changed on a day, up to a week later: that is what
the retention is for.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from include.quarry.catalog.columns import same_document
from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes, documents
from include.quarry.catalog.versions import list_versions

_ROWS_AT_ONCE = 800


@dataclass(frozen=True, slots=True)
class Truncation:
    """How much of a corpus's log went. All before `kept_from` was free to go; `held_by` is the version that has applied
    least, where it and not the retention kept the rest."""

    corpus: str
    removed: int
    kept_from: int
    held_by: str | None


def truncate_log(database: Database, retention_s: float) -> list[Truncation]:
    """Remove what every index version has applied, is older than `retention_s`, and was followed by another change of
    its document. A corpus without a version keeps all. Safe while changes come; a run that dies is simply run again."""
    with database.read() as connection:
        corpora = sorted({version.corpus for version in list_versions(connection) if version.in_use})
    return [_truncate(database, corpus, retention_s) for corpus in corpora]


def _truncate(database: Database, corpus: str, retention_s: float) -> Truncation:
    c, last, removed = changes.c, 0, 0
    kept_from, held_by = _bound(database, corpus, retention_s)
    query = (
        sa.select(c.seq)
        .join(documents, same_document(changes, documents))
        .where(c.corpus == corpus, c.seq < kept_from, c.seq < documents.c.seq)
        .order_by(c.seq)
        .limit(_ROWS_AT_ONCE)
    )
    while True:
        with database.write() as connection:
            seqs = list(connection.scalars(query.where(c.seq > last)))
            connection.execute(sa.delete(changes).where(c.seq.in_(seqs)))
        if not seqs:
            return Truncation(corpus, removed, kept_from, held_by)
        removed, last = removed + len(seqs), seqs[-1]


def _bound(database: Database, corpus: str, retention_s: float) -> tuple[int, str | None]:
    """The first change that has to stay, and which version holds it there, if one does. A version that is being built
    has applied nothing yet."""
    c, until = changes.c, datetime.now(UTC) - timedelta(seconds=retention_s)
    with database.read() as connection:
        following = [version for version in list_versions(connection, corpus) if version.in_use]
        young = sa.select(sa.func.min(c.seq)).where(c.corpus == corpus, c.accepted_at > until)
        newest = sa.select(sa.func.max(c.seq)).where(c.corpus == corpus)
        by_retention = connection.scalar(young) or connection.scalar(newest) or 0
    if not following:
        return 0, None
    slowest = min(following, key=lambda version: version.watermark)
    applied = slowest.watermark + 1
    return (applied, slowest.version_id) if applied < by_retention else (by_retention, None)
