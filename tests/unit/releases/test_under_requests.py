"""A release is tried, promoted and taken back over HTTP while people ask: nobody is failed, each answer is of one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.release_routes import release_routes
from include.quarry.generation.answering import Answerer
from include.quarry.generation.protocol import DEFAULT_RELEASE
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope
from include.quarry.releases.desk import ReleaseDesk
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.choice import place_of
from include.quarry.settings import Settings
from tests.door import open_test_door, showing

from .conftest import BRIEF, Replica, until

TEXT = "Ruff has 800 rules."
HIT = Hit(
    Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(TEXT, "", 0, len(TEXT), 1), {}), 1, {}
)
ASKED = "How many rules has Ruff?"
TENANTS = [f"tenant-{number}" for number in range(6)]
SHARE = 0.5
BREATH_S = 0.005  # between two questions of a client: a loop without rest starves the threads that move the release


class Row(NamedTuple):
    """One answer: who asked, how it came back, and whose it is."""

    tenant: str
    status: int
    tier: str
    release: str | None


@dataclass
class Crowd:
    """Clients of a tenant each, who ask again and again."""

    client: httpx.AsyncClient
    rows: list[Row] = field(default_factory=list)
    newest: dict[str, str | None] = field(default_factory=dict)

    async def ask(self, tenant: str) -> None:
        asked = {"question": ASKED, "tier": "fast"}
        while True:
            response = await self.client.post("/v1/answer", json=asked, headers=showing(tenant))
            body = response.json()
            release = (body.get("release") or {}).get("release_id")
            self.rows.append(Row(tenant, response.status_code, str(body.get("tier")), release))
            self.newest[tenant] = release
            await asyncio.sleep(BREATH_S)

    async def move(self, path: str, body: dict[str, object]) -> None:
        (await self.client.post(path, json=body)).raise_for_status()

    async def settled(self, wanted: dict[str, str]) -> None:
        """Wait until each tenant is answered by the release that is wanted for it."""
        await until(lambda: self.newest == wanted)


async def retrieve(_corpus: str, _query: str, _top_k: int, _scope: Scope, *_: object, **__: object) -> Retrieval:
    return Retrieval([HIT], "v1", 7, {"total": 1.0})


@pytest.fixture
async def crowd(replica: Replica, catalog_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    replica.models["smollm2-135m"].go_on.set()
    desk = ReleaseDesk(Settings(home=tmp_path, database_url=catalog_url, _env_file=None), lambda _: "")
    door, answerer = open_test_door(), Answerer({"fast": replica.tier})
    routers = [answer_routes(Asking(retrieve, answerer.answer), door), release_routes(desk, door)]
    app = build_http_app(routers, door, max_document_bytes=10_000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    crowd = Crowd(httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red")))
    clients = [asyncio.create_task(crowd.ask(tenant)) for tenant in TENANTS]
    yield crowd
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_no_request_fails_and_each_answer_names_exactly_one_release(crowd: Crowd, replica: Replica) -> None:
    everybody = dict.fromkeys(TENANTS, DEFAULT_RELEASE)
    tried = {tenant for tenant in TENANTS if place_of("release", tenant, ASKED) < SHARE}
    assert 0 < len(tried) < len(TENANTS)
    await crowd.settled(everybody)
    await crowd.move("/v1/releases", {"tier": "fast", "template": BRIEF, "release_id": "brief"})
    await crowd.move("/v1/releases/brief/canary", {"share": SHARE, "unchecked": True})
    await crowd.settled(everybody | dict.fromkeys(tried, "brief"))
    assert {row.release for row in crowd.rows if row.tenant not in tried} == {DEFAULT_RELEASE}
    await crowd.move("/v1/releases/brief/promote", {"unchecked": True})
    await crowd.settled(dict.fromkeys(TENANTS, "brief"))
    await crowd.move("/v1/tiers/fast/rollback", {"reason": "worse"})
    await crowd.settled(everybody)
    assert [row for row in crowd.rows if row.status != httpx.codes.OK] == []
    assert {(row.tier, row.release) for row in crowd.rows} == {("fast", DEFAULT_RELEASE), ("fast", "brief")}
    assert replica.find("brief").reason == "worse"
