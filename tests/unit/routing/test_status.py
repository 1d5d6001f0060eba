"""What a tenant is shown of a corpus: its own quarantine, and nobody else's."""

import asyncio
from typing import Any

import httpx

from include.quarry.catalog.database import Database
from include.quarry.catalog.quarantine import set_aside
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.status_routes import status_routes
from include.quarry.records import DocumentKey
from include.quarry.routing.status import corpus_status
from tests.door import open_test_door, showing


async def nothing() -> Any:
    return None


async def test_a_tenant_is_shown_only_its_own_quarantined_documents(database: Database) -> None:
    with database.write() as connection:
        for tenant in ("red", "blue"):
            for doc_id in ("a", "b"):
                key = DocumentKey("main", tenant, f"{tenant}-{doc_id}")
                set_aside(
                    connection, key, f"file:///{tenant}/{doc_id}", "folder", f"UnreadableContent: {tenant} secret"
                )

    async def status_of(corpus: str, tenant: str) -> dict[str, Any]:
        return await asyncio.to_thread(corpus_status, database, corpus, tenant, 0)

    door = open_test_door()
    app = build_http_app([status_routes(status_of, nothing, nothing, door)], door, max_document_bytes=1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://quarry") as client:
        red = await client.get("/v1/status", headers=showing("red"))
        green = await client.get("/v1/status", headers=showing("green"))
    assert {item["doc_id"] for item in red.json()["quarantine"]} == {"red-a", "red-b"}
    assert "blue" not in red.text
    assert green.json()["quarantine"] == []
    assert "secret" not in green.text
