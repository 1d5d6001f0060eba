"""Odd reads are told from ordinary ones, and nothing ordinary is called odd."""

import statistics
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.audit import odd_reads as module
from include.quarry.audit.entry import AuditRecord
from include.quarry.audit.journal import Journal
from include.quarry.audit.odd_reads import BURST, OddRead, Reads, far_readers, odd_reads, read_window
from include.quarry.audit.shipping import adopt
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records, queries
from include.quarry.catalog.schema import chunks, documents
from tests.unit.audit.entries import START, record

Look = Callable[..., list[OddRead]]


@pytest.fixture
def look(sqlite_catalog: Database, audit_folder: Path) -> Look:
    """What is odd about some records, in a catalog in which blue has a document, a passage and a query."""
    key = {"corpus": "main", "tenant": "blue", "doc_id": "plan"}
    texts = dict.fromkeys(("feed", "uri", "title", "content_type", "content_hash", "text"), "")
    document = {"seq": 1, "version": 1, "deleted": False, "metadata": {}, "outline": [], "accepted_at": START}
    document["first_accepted_at"] = START
    passage = dict.fromkeys(("chunker", "text", "context", "text_hash"), "")
    numbers = dict.fromkeys(("doc_version", "ordinal", "start", "end", "tokens"), 1)
    asked = dict.fromkeys(("subject", "kind", "query", "index_version"), "")
    query = {"query_id": "b" * 32, "corpus": "main", "tenant": "blue", "asked_at": START, "hits": []}
    with sqlite_catalog.write() as connection:
        connection.execute(sa.insert(documents).values(**key, **texts, **document))
        connection.execute(sa.insert(chunks).values(chunk_id="blue-c1", **key, **passage, **numbers))
        connection.execute(sa.insert(queries).values(**query, **asked))

    def look(*records: AuditRecord) -> list[OddRead]:
        journal = Journal(audit_folder, "gateway")
        for each in records:
            journal.append(each)
        journal.close()
        adopt(audit_folder, sqlite_catalog, [store_records])
        return odd_reads(sqlite_catalog, read_window(sqlite_catalog, START, START + timedelta(days=1)))

    return look


def refused(status: int = 403, *, minute: float = 0, **other: object) -> AuditRecord:
    return record(at=START + timedelta(minutes=minute), status=status, **other)


def test_an_ordinary_day_has_nothing_odd(look: Look) -> None:
    assert look(record("q1"), record("q2", tenant="blue", facts={"chunks": ["blue-c1"]}), refused(404)) == []


def test_a_passage_of_another_tenant_in_an_answer_is_found(look: Look) -> None:
    (odd,) = look(record("q1", facts={"chunks": ["red-c1", "blue-c1"]}))
    assert (odd.kind, odd.tenant, odd.subject, odd.count) == ("foreign_read", "red", "ann", 1)
    assert "blue-c1 of blue" in odd.text


@pytest.mark.parametrize("facts", [{"named": {"doc_id": "plan"}}, {"about": "b" * 32}])
def test_whoever_names_what_is_another_tenants_is_found(look: Look, facts: dict[str, object]) -> None:
    (odd,) = look(refused(404, facts=facts))
    assert (odd.kind, odd.tenant, odd.count) == ("foreign_id", "red", 1)
    assert "of blue" in odd.text


def test_naming_what_nobody_has_or_what_is_ones_own_is_not_odd(look: Look) -> None:
    own = refused(404, tenant="blue", facts={"named": {"doc_id": "plan"}})
    assert look(refused(404, facts={"named": {"doc_id": "nothing"}}), own) == []


def test_a_name_that_two_tenants_use_is_nobodys_secret(look: Look, sqlite_catalog: Database) -> None:
    with sqlite_catalog.write() as connection:
        blues = connection.execute(sa.select(documents)).one()._asdict()
        connection.execute(sa.insert(documents).values(**blues | {"tenant": "red", "deleted": True}))
    assert look(refused(404, facts={"named": {"doc_id": "plan"}})) == [], "it was the caller's own, and is gone"


def test_a_name_in_another_corpus_is_another_document(look: Look) -> None:
    assert look(refused(404, facts={"named": {"doc_id": "plan"}, "corpus": "drafts"})) == []


def test_a_burst_of_refusals_is_found_and_a_trickle_is_not(look: Look) -> None:
    (odd,) = look(*(refused(minute=number / 10) for number in range(BURST)))
    assert (odd.kind, odd.subject, odd.count) == ("denied_burst", "ann", BURST)


def test_a_trickle_of_refusals_is_not_odd(look: Look) -> None:
    assert look(*(refused(minute=number * 2.0) for number in range(3 * BURST))) == []


def test_a_flood_of_refusals_is_added_up_in_one_pass() -> None:
    reads = Reads()
    reads.denied["red", "eve"] = [(START + timedelta(milliseconds=10 * number), 1) for number in range(200_000)]
    (odd,) = module._denied_bursts(reads)
    assert odd.count == 60_001, "those of ten minutes, both ends included"


def test_counted_refusals_without_a_token_count(look: Look) -> None:
    nobody = {"tenant": None, "subject": None}
    (odd,) = look(refused(401, **nobody), refused(401, minute=1, **nobody, facts={"times": 400}))
    assert (odd.kind, odd.tenant, odd.count) == ("denied_burst", None, 401)


@pytest.mark.parametrize("body", ["no record", "[1]", '{"chunks": 7}', '{"times": "many"}', '{"documents": [{}]}'])
def test_a_record_that_somebody_has_spoiled_hides_no_other(look: Look, sqlite_catalog: Database, body: str) -> None:
    look(record("q0"), record("q1", facts={"chunks": ["blue-c1"]}))
    with sqlite_catalog.write() as connection:
        connection.execute(sa.update(audit_records).where(audit_records.c.query_id == "q0").values(body=body))
    reads = read_window(sqlite_catalog, START, START + timedelta(days=1))
    assert reads.records == 2
    assert [odd.kind for odd in odd_reads(sqlite_catalog, reads)] == ["foreign_read"]


def test_a_subject_that_reads_far_more_than_its_peers_is_found() -> None:
    peers = {("red", f"s{number}"): 20 + number for number in range(8)}
    (odd,) = far_readers(peers | {("red", "eve"): 400})
    assert (odd.kind, odd.subject, odd.count) == ("far_reader", "eve", 400)
    assert far_readers(peers | {("red", "eve"): 49}) == [], "too few to be worth a look"


def test_without_enough_peers_in_the_tenant_all_subjects_are() -> None:
    others = {(f"t{number}", "only"): 30 for number in range(6)}
    assert [odd.tenant for odd in far_readers(others | {("red", "eve"): 500})] == ["red"]
    assert far_readers({("red", "ann"): 5, ("red", "eve"): 5000}) == []


def test_who_reads_a_lot_where_everybody_does_is_not_odd() -> None:
    assert far_readers({("red", f"s{number}"): 900 + 40 * number for number in range(10)}) == []


def test_what_is_usual_is_looked_for_once_a_tenant_however_many_read(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(values: Iterable[float]) -> float:
        values = list(values)
        looked.append(len(values))
        return statistics.median(values)

    monkeypatch.setattr(module, "median", counted)
    counts = {(f"t{tenant}", f"s{number}"): 60 + number for tenant in range(3) for number in range(40)}
    assert [odd.subject for odd in far_readers(counts | {("t1", "eve"): 4000})] == ["eve"]
    assert sum(looked) <= 4 * len(counts) + 4


def test_only_the_window_counts(look: Look) -> None:
    late = record("q1", at=datetime(2026, 3, 9, tzinfo=UTC), facts={"chunks": ["blue-c1"]})
    assert look(late) == []
