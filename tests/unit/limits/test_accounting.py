"""Usage is what the audit shipped: each record once, whoever dies in between, and only what is to be paid for."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from include.quarry.audit.entry import AuditRecord
from include.quarry.audit.journal import Journal
from include.quarry.audit.shipping import Shipper
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database
from include.quarry.catalog.usage import UsageKey, Used, read_usage, tokens_on
from include.quarry.limits.accounting import count_usage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = NOON.date()
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "engine_s": 1.5}


def record(action: str = "POST /v1/retrieve", status: int = 200, at: datetime = NOON, **facts: Any) -> AuditRecord:
    tenant = facts.pop("tenant", "acme")
    return AuditRecord(at, action, status, tenant, "someone", "0" * 32, facts)


def answer(tier: str = "fast", **more: Any) -> AuditRecord:
    return record("POST /v1/answer", tier=tier, usage=USAGE, **more)


def ship(database: Database, folder: Path, *records: AuditRecord) -> None:
    journal = Journal(folder, "test")
    for each in records:
        journal.append(each)
    Shipper(journal.origin, database, [count_usage, store_records]).step()
    journal.close()


def used(database: Database, tenant: str = "acme") -> dict[UsageKey, Used]:
    with database.read() as connection:
        return dict(read_usage(connection, tenant, date(2000, 1, 1)))


def test_requests_uploads_and_refusals_are_added_up(database: Database, tmp_path: Path) -> None:
    upload = record("PUT /v1/documents/{doc_id}", 202)
    ship(database, tmp_path, record(), upload, record(status=429), record(status=429, times=41), record(status=404))
    assert used(database) == {UsageKey("acme", DAY): Used(requests=2, documents=1, refused=42)}


def test_answers_are_added_up_by_tier_with_what_they_cost(database: Database, tmp_path: Path) -> None:
    ship(database, tmp_path, answer(cost=0.25), answer(cost=0.5), answer("deep"))
    ship(database, tmp_path, answer("deep"))
    assert used(database) == {
        UsageKey("acme", DAY): Used(requests=4),
        UsageKey("acme", DAY, "fast"): Used(answers=2, prompt_tokens=200, completion_tokens=40, engine_s=3, cost=0.75),
        UsageKey("acme", DAY, "deep"): Used(answers=2, prompt_tokens=200, completion_tokens=40, engine_s=3),
    }
    with database.read() as connection:
        assert tokens_on(connection, "acme", DAY) == 480
        assert tokens_on(connection, "acme", date(2026, 3, 2)) == tokens_on(connection, "umbra", DAY) == 0


def test_tokens_are_charged_to_the_tier_that_used_them(database: Database, tmp_path: Path) -> None:
    both = {"prompt_tokens": 150, "completion_tokens": 25, "engine_s": 2.0}
    spent = {"deep": {"prompt_tokens": 50, "completion_tokens": 5, "engine_s": 0.5}, "fast": USAGE}
    ship(database, tmp_path, record("POST /v1/answer", tier="fast", usage=both, spent=spent, cost=0.5))
    assert used(database) == {
        UsageKey("acme", DAY): Used(requests=1),
        UsageKey("acme", DAY, "deep"): Used(prompt_tokens=50, completion_tokens=5, engine_s=0.5),
        UsageKey("acme", DAY, "fast"): Used(answers=1, prompt_tokens=100, completion_tokens=20, engine_s=1.5, cost=0.5),
    }


def test_a_stream_counts_at_its_end(database: Database, tmp_path: Path) -> None:
    ship(database, tmp_path, record("POST /v1/answer", outcome="begun"), answer(outcome="done"))
    ship(database, tmp_path, record("POST /v1/answer", outcome="begun"), record("POST /v1/answer", outcome="left"))
    assert used(database)[UsageKey("acme", DAY)] == Used(requests=2)


def test_who_leaves_pays_for_what_was_generated_and_had_no_answer(database: Database, tmp_path: Path) -> None:
    left = {"unfinished": True, "spent": {"deep": USAGE}, "cost": 0.5, "outcome": "left"}
    ship(database, tmp_path, record("POST /v1/answer", outcome="begun"), answer("deep", **left))
    ship(database, tmp_path, answer("deep", status=499, **left), answer("deep", status=504, **left))
    ship(database, tmp_path, record("POST /v1/answer", status=499, outcome="left"), answer("deep", status=500, **left))
    assert used(database) == {
        UsageKey("acme", DAY): Used(requests=1),
        UsageKey("acme", DAY, "deep"): Used(prompt_tokens=300, completion_tokens=60, engine_s=4.5, cost=1.5),
    }


def test_days_and_tenants_are_kept_apart(database: Database, tmp_path: Path) -> None:
    late = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    ship(database, tmp_path, record(at=late), record(at=datetime(2026, 3, 2, tzinfo=UTC)), record(tenant="umbra"))
    assert [key.day for key in used(database)] == [date(2026, 3, 2), DAY]
    assert list(used(database, "umbra").values()) == [Used(requests=1)]


def test_who_showed_no_token_uses_nothing(database: Database, tmp_path: Path) -> None:
    ship(database, tmp_path, record(tenant=None, status=401))
    assert used(database) == {}


def test_records_that_are_shipped_again_count_once(database: Database, tmp_path: Path) -> None:
    """As after a kill between the shipping and the noting of how far it went."""
    journal = Journal(tmp_path, "test")
    journal.append(answer())
    for _ in range(3):
        Shipper(
            journal.origin, database, [count_usage, store_records]
        ).step()  # a new one begins at the first entry again
        journal.append(answer())
    journal.close()
    assert used(database)[UsageKey("acme", DAY, "fast")].answers == 3


def test_nothing_is_added_up_when_the_records_are_not_stored(database: Database, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("killed here")

    journal = Journal(tmp_path, "test")
    journal.append(record())
    with pytest.raises(RuntimeError):
        Shipper(journal.origin, database, [count_usage, store_records, fails]).step()
    assert used(database) == {}
    Shipper(journal.origin, database, [count_usage, store_records]).step()
    assert used(database) == {UsageKey("acme", DAY): Used(requests=1)}
    journal.close()
