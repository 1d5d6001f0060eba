"""Reads that a person should look at, found in the records of one stretch of time.

foreign_read    a passage of another tenant was in an answer: this must never be
foreign_id      a caller named a document or a query that its tenant never had and another has, and was refused
denied_burst    a caller, or callers without a token, refused `BURST` times within ten minutes
far_reader      a subject that read far more documents than its peers
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa

from include.quarry.audit.entry import read_fields
from include.quarry.audit.lookup import Wanted, read_all
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import queries
from include.quarry.catalog.schema import chunks, documents

BURST = 20
BURST_WITHIN = timedelta(minutes=10)
FAR = 3.5
"""Modified z-score above which a reader is far from its peers; Iglewicz and Hoaglin, How to Detect and Handle Outliers,
1993, who also give the constant below."""
LEAST_DOCUMENTS, LEAST_PEERS = 50, 5
_TO_SIGMAS = 0.6745
_DENIED = frozenset({401, 403, 404, 429})
_AT_ONCE = 500
Who = tuple[str | None, str | None]
"""Tenant and subject; both None for callers without a token."""


@dataclass(frozen=True, slots=True)
class OddRead:
    """Something to look at: whose doing it was, how much of it, and a few examples."""

    kind: str
    tenant: str | None
    subject: str | None
    count: int
    text: str


@dataclass(slots=True)
class Reads:
    """What was read in a stretch of time, added up."""

    records: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    documents: dict[Who, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    chunks: dict[str, dict[str, Who]] = field(default_factory=lambda: defaultdict(dict))
    denied: dict[Who, list[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(list))
    named: dict[Who, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    about: dict[Who, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, row: sa.Row[Any]) -> None:
        """Count one record."""
        self.records += 1
        facts = read_fields(row.body)
        who: Who = (row.tenant, row.subject)
        times = int(facts.get("times", 1))
        self.statuses[row.status] += times
        corpus = str(facts.get("corpus", ""))
        if row.status < 400:
            self.documents[who].update((corpus, each) for each in facts.get("documents", ()))
            if row.tenant is not None:
                self.chunks[row.tenant].update(dict.fromkeys(facts.get("chunks", ()), who))
        elif row.status in _DENIED:
            self.denied[who].append((row.at, times))
            if row.status == 404 and "doc_id" in facts.get("named", {}):
                self.named[who].add((corpus, facts["named"]["doc_id"]))
            if row.status == 404 and "about" in facts:
                self.about[who].add(facts["about"])


def read_window(database: Database, since: datetime, until: datetime) -> Reads:
    """All records of `[since, until)`, added up."""
    reads = Reads()
    for rows in read_all(database, Wanted(since=since, until=until)):
        for row in rows:
            with suppress(AttributeError, TypeError, ValueError):  # somebody has spoiled it, as verification says
                reads.add(row)
    return reads


def odd_reads(database: Database, reads: Reads) -> list[OddRead]:
    """What a person should look at, the worst kind first."""
    return [
        *_foreign_reads(database, reads),
        *_foreign_ids(database, reads),
        *_denied_bursts(reads),
        *far_readers({who: len(found) for who, found in reads.documents.items()}),
    ]


def _foreign_reads(database: Database, reads: Reads) -> Iterator[OddRead]:
    """Only passages that are in the catalog now can be told apart."""
    for tenant, read in reads.chunks.items():
        foreign: dict[Who, list[str]] = defaultdict(list)
        for chunk_id, owner in _owners(database, chunks, "chunk_id", read):
            if owner != tenant:
                foreign[read[chunk_id]].append(f"{chunk_id} of {owner}")
        for who, found in foreign.items():
            yield _odd("foreign_read", who, found, "passages of other tenants were in its answers")


def _foreign_ids(database: Database, reads: Reads) -> Iterator[OddRead]:
    for who, named in reads.named.items():
        owners: dict[tuple[str, str], set[str]] = defaultdict(set)
        for doc_id, owner, corpus in _owners(database, documents, "doc_id", {each for _, each in named}, "corpus"):
            owners[corpus, doc_id].add(owner)
        of_others = [each for each in sorted(named & owners.keys()) if who[0] not in owners[each]]
        found = [f"document {doc_id} of {min(owners[corpus, doc_id])}" for corpus, doc_id in of_others]
        if found:
            yield _odd("foreign_id", who, found, "documents of other tenants were named")
    for who, about in reads.about.items():
        asked = _owners(database, queries, "query_id", about)
        found = [f"query {query_id} of {owner}" for query_id, owner in asked if owner != who[0]]
        if found:
            yield _odd("foreign_id", who, found, "queries of other tenants were named")


def _denied_bursts(reads: Reads) -> Iterator[OddRead]:
    for who, refused in reads.denied.items():
        most, total, within = 0, 0, deque[tuple[datetime, int]]()
        for at, times in sorted(refused):
            within.append((at, times))
            total += times
            while within[0][0] < at - BURST_WITHIN:
                total -= within.popleft()[1]
            most = max(most, total)
        if most >= BURST:
            yield OddRead("denied_burst", *who, most, f"{most} refusals within {BURST_WITHIN.seconds // 60} minutes")


def far_readers(counts: Mapping[Who, int]) -> list[OddRead]:
    """Subjects whose distinct documents lie far above those of their tenant's subjects, or of all where these are few.

    By the modified z-score, 0.6745 (x - median) / MAD, with a MAD of at least a tenth of the median; a subject is one
    of those whose median it is held against.
    """
    of_tenant: dict[str | None, list[int]] = defaultdict(list)
    for (tenant, _), count in counts.items():
        of_tenant[tenant].append(count)
    everybody = _Peers.of(list(counts.values()))
    peers = {tenant: _Peers.of(read) or everybody for tenant, read in of_tenant.items()}
    found = []
    for (tenant, subject), count in counts.items():
        its = peers[tenant]
        if its is None or count < LEAST_DOCUMENTS:
            continue
        score = _TO_SIGMAS * (count - its.median) / its.spread
        if score > FAR:
            text = f"{count} documents; it and its {its.others} peers read {its.median:g} at the median"
            found.append(OddRead("far_reader", tenant, subject, count, f"{text} (score {score:.1f})"))
    return sorted(found, key=lambda odd: -odd.count)


class _Peers(NamedTuple):
    """What is usual among some subjects; `others` are all but one of them."""

    others: int
    median: float
    spread: float

    @classmethod
    def of(cls, counts: Sequence[int]) -> "_Peers | None":
        """None where they are too few to tell."""
        if len(counts) <= LEAST_PEERS:
            return None
        middle = median(counts)
        return cls(len(counts) - 1, middle, max(median(abs(each - middle) for each in counts), middle / 10, 1.0))


def _owners(
    database: Database, table: sa.Table, key: str, wanted: Iterable[str], *more: str
) -> Iterator[sa.Row[*tuple[str, ...]]]:
    """Each of the wanted that is in the catalog, with whose it is, and more of its columns."""
    keys, query = sorted(wanted), sa.select(*(table.c[name] for name in (key, "tenant", *more)))
    for start in range(0, len(keys), _AT_ONCE):
        with database.read() as connection:
            yield from connection.execute(query.where(table.c[key].in_(keys[start : start + _AT_ONCE]))).all()


def _odd(kind: str, who: Who, found: list[str], text: str) -> OddRead:
    examples = ", ".join(found[:3])
    return OddRead(kind, *who, len(found), f"{text}: {examples}{', …' if len(found) > 3 else ''}")
