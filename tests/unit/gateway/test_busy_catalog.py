"""A catalog that is locked or gone: a 503 with Retry-After over HTTP, on both databases, and never a wait for ever."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from include.quarry.catalog import database as catalog
from include.quarry.catalog.database import Database
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.uploads import Uploads
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.document_routes import document_routes
from tests.door import open_test_door, showing

_PATIENCE_S = 20.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers give up soon."""
    monkeypatch.setattr(catalog, "_BUSY_TIMEOUT_MS", 50)


@pytest.fixture
def locked(impatient: None, catalog_url: str) -> Iterator[str]:
    """The URL of a catalog in which somebody else writes and does not end."""
    holds, ended = threading.Event(), threading.Event()

    def hold() -> None:
        other = Database(catalog_url)
        with other.write():
            holds.set()
            ended.wait(_PATIENCE_S)
        other.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(_PATIENCE_S)
    yield catalog_url
    ended.set()
    thread.join()


def client_of(database: Database) -> httpx.AsyncClient:
    uploads = Uploads(database, Ingestor(database, make_chunker, 10_000))
    door = open_test_door()
    app = build_http_app([document_routes(uploads, door)], door, max_document_bytes=10_000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing())


def assert_come_back(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    assert "try again" in response.json()["detail"]


def test_a_writer_gives_up_when_another_never_ends(locked: str) -> None:
    started = time.monotonic()
    database = Database(locked)
    with pytest.raises(Unavailable, match="try again"), database.write():
        pytest.fail("two writers at once")
    assert time.monotonic() - started < _PATIENCE_S / 2
    database.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_to_a_locked_catalog_may_come_back(locked: str, method: str) -> None:
    database = Database(locked)
    assert_come_back(await client_of(database).request(method, "/v1/documents/a", json={"text": "Some text."}))
    database.close()


async def test_a_locked_catalog_is_read_nevertheless(locked: str) -> None:
    database = Database(locked)
    assert (await client_of(database).get("/v1/documents/a")).status_code == 404
    database.close()


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/catalog.db", "postgresql://quarry@127.0.0.1:1/none"])
async def test_a_request_while_the_catalog_is_gone_may_come_back(method: str, url: str) -> None:
    body = {"json": {"text": "Some text."}} if method == "PUT" else {}
    assert_come_back(await client_of(Database(url)).request(method, "/v1/documents/a", **body))
