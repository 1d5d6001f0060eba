"""POST /v1/feedback on the real application over a real catalog."""

from pathlib import Path

import httpx
import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.feedback.opinions import Opinions
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.feedback_routes import feedback_routes
from tests.door import open_test_door, showing
from tests.unit.feedback.test_opinions import log_query, rated

QUERY_ID = "0123456789abcdef" * 2


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    log_query(database, QUERY_ID)
    return database


@pytest.fixture
def client(database: Database) -> httpx.AsyncClient:
    door = open_test_door()
    app = build_http_app([feedback_routes(Opinions(database, patience_s=0), door)], door, max_document_bytes=1000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red"))


async def test_an_opinion_is_kept_for_the_token_s_subject(client: httpx.AsyncClient, database: Database) -> None:
    for _ in range(2):
        response = await client.post("/v1/feedback", json={"query_id": QUERY_ID, "rating": -1, "comment": " bad "})
        assert response.status_code == 200, response.text
        assert response.json() == {"query_id": QUERY_ID, "rating": -1, "chunk_id": ""}
    assert [(each.rating, each.comment) for each in rated(database)[0].ratings] == [(-1, "bad")]


async def test_another_tenant_s_query_is_not_there(client: httpx.AsyncClient, database: Database) -> None:
    body = {"query_id": QUERY_ID, "rating": 1}
    assert (await client.post("/v1/feedback", json=body, headers=showing("blue"))).status_code == 404
    assert rated(database) == []


async def test_a_token_without_the_scope_may_not_rate(client: httpx.AsyncClient) -> None:
    body = {"query_id": QUERY_ID, "rating": 1}
    assert (await client.post("/v1/feedback", json=body, headers=showing("red", "retrieve"))).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query_id": QUERY_ID, "rating": 0},
        {"query_id": QUERY_ID, "rating": 2},
        {"query_id": QUERY_ID, "rating": True, "more": 1},
        {"query_id": "../" + QUERY_ID[3:], "rating": 1},
        {"query_id": QUERY_ID, "rating": 1, "chunk_id": "c3"},
        {"query_id": QUERY_ID, "rating": 1, "chunk_id": "x" * 200},
        {"query_id": QUERY_ID, "rating": 1, "comment": "\x00"},
        {"query_id": QUERY_ID, "rating": 1, "comment": "x" * 2001},
    ],
)
async def test_garbage_is_refused_with_a_problem(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    response = await client.post("/v1/feedback", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
