"""GET /v1/audit: for administrators, filtered, a page at a time, on both databases."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from include.quarry.audit.journal import Journal
from include.quarry.audit.lookup import AuditDesk
from include.quarry.audit.shipping import adopt
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.audit_routes import audit_routes
from tests.door import open_test_door, showing
from tests.unit.audit.entries import START, record

_EACH = 12


@pytest.fixture
def client(database: Database, tmp_path: Path) -> httpx.AsyncClient:
    """Two writers, two tenants, three subjects; two records in each hour."""
    for name in ("gateway", "retrieval"):
        journal = Journal(tmp_path / "audit", name)
        for number in range(_EACH):
            who = {"tenant": ("red", "blue")[number % 2], "subject": ("ann", "bob", "eve")[number % 3]}
            journal.append(record(f"{name}-{number}", at=START + timedelta(hours=number), **who))
        journal.close()
    adopt(tmp_path / "audit", database, [store_records])
    door = open_test_door()
    app = build_http_app([audit_routes(AuditDesk(database), door)], door, max_document_bytes=1000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red", "admin"))


async def ask(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await client.get("/v1/audit", params=params)
    assert response.status_code == 200, response.text
    return response.json()["records"]


async def test_an_administrator_sees_the_records_of_all_tenants_newest_first(client: httpx.AsyncClient) -> None:
    records = await ask(client)
    assert len(records) == 2 * _EACH
    assert {each["tenant"] for each in records} == {"red", "blue"}
    times = [each["at"] for each in records]
    assert times == sorted(times, reverse=True)
    newest = records[0]
    assert (newest["action"], newest["status"], len(newest["hash"])) == ("POST /v1/retrieve", 200, 64)
    assert newest["facts"]["documents"] == ["a", "b"]
    assert newest["facts"]["index_version"] == "v1"


@pytest.mark.parametrize("body", ["no record", '{"at": "never", "number": {}}'])
async def test_a_record_that_somebody_has_spoiled_is_shown_by_its_columns(
    client: httpx.AsyncClient, database: Database, body: str
) -> None:
    with database.write() as connection:
        connection.execute(sa.update(audit_records).values(body=body))
    newest = (await ask(client))[0]
    assert (newest["tenant"], newest["status"], newest["facts"]) == ("blue", 200, {})


async def test_filters_leave_only_what_is_asked_for(client: httpx.AsyncClient) -> None:
    assert {each["tenant"] for each in await ask(client, tenant="red")} == {"red"}
    assert len(await ask(client, tenant="red", subject="ann")) == 4
    assert [each["query_id"] for each in await ask(client, query_id="gateway-3")] == ["gateway-3"]
    since, until = (START + timedelta(hours=hours) for hours in (2, 5))
    found = await ask(client, since=since.isoformat(), until=until.isoformat())
    assert sorted(each["query_id"] for each in found) == sorted(
        f"{w}-{n}" for w in ("gateway", "retrieval") for n in (2, 3, 4)
    )
    assert await ask(client, tenant="nobody") == []


@pytest.mark.parametrize("limit", [1, 5, 24])
async def test_pages_show_every_record_once(client: httpx.AsyncClient, limit: int) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/audit", params=params)).json()
        seen += [each["query_id"] for each in page["records"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["records"]) == limit
    assert len(seen) == len(set(seen)) == 2 * _EACH


async def test_only_administrators_may_look(client: httpx.AsyncClient) -> None:
    everything_else = showing("red", "retrieve", "answer", "write", "feedback")
    assert (await client.get("/v1/audit", headers=everything_else)).status_code == 403


@pytest.mark.parametrize(
    "params",
    [
        {"cursor": "nonsense"},
        {"cursor": "é"},
        {"cursor": "WzEsMiwzXQ"},
        {"cursor": "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwiYSIsMV0"},
        {"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwiYSIsOTk5OTk5OTk5OTk5OTk5OTk5OTldWw"},
        {"limit": 0},
        {"limit": 1001},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "0001-01-01T00:00:00+23:59"},
        {"until": "9999-12-31T23:59:59-23:59"},
        {"tenant": "../etc"},
        {"subject": "a\0b"},
        {"query_id": "x" * 400},
    ],
)
async def test_what_cannot_be_looked_up_is_refused(client: httpx.AsyncClient, params: dict[str, Any]) -> None:
    response = await client.get("/v1/audit", params=params)
    assert response.status_code == 422, response.text
