"""Index versions over HTTP: the same verbs as the command line, problem bodies, and nothing on the event loop."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.quarry.catalog.database import Database
from include.quarry.errors import Conflict, IncompleteIndex, NotFound
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.version_routes import Desk, version_routes
from include.quarry.operations.airflow_api import DagRun
from include.quarry.routing.building import build_version
from include.quarry.settings import Settings
from include.quarry.versions.desk import VersionDesk
from tests.door import open_test_door, showing
from tests.unit.routing.corpus import SPEC, Corpus


class FakeDesk:
    """Remembers what was asked, and on which thread."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()
        self.fails: Exception | None = None

    def _note(self, *asked: Any) -> None:
        self.asked.append(asked)
        self.threads.add(threading.get_ident())
        if self.fails:
            raise self.fails

    def listing(self, corpus: str | None = None) -> list[dict[str, Any]]:
        self._note("list", corpus)
        return []

    def show(self, version_id: str) -> dict[str, Any]:
        raise NotFound(f"no index version {version_id!r}")

    def start_build(self, corpus: str, spec: Any) -> DagRun:
        self._note("build", corpus, spec)
        return DagRun("reindex_corpus", "manual__1", "queued")

    def promote(self, version_id: str, *, unchecked: bool = False) -> dict[str, Any]:
        self._note("promote", version_id, unchecked)
        return {"route": route(version_id), "proof": None if unchecked else {"chunks": 2, "digest": "d"}}

    def roll_back(self, corpus: str, reason: str) -> dict[str, Any]:
        self._note("rollback", corpus, reason)
        return route("v0")

    def retire(self, version_id: str) -> dict[str, Any]:
        self._note("retire", version_id)
        raise Conflict("it is live")

    def refuse(self, version_id: str, reason: str) -> dict[str, Any]:
        self._note("refuse", version_id, reason)
        raise Conflict("it is live")


def route(live: str) -> dict[str, Any]:
    canary = {"canary_version": None, "canary_share": 0.0, "shadow_version": None, "shadow_share": 0.0}
    return {"corpus": "main", "live_version": live, "previous_version": None, "revision": 2, **canary}


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def client(desk: FakeDesk) -> httpx.AsyncClient:
    return client_of(desk)


def client_of(desk: Desk) -> httpx.AsyncClient:
    door = open_test_door()
    app = build_http_app([version_routes(desk, door)], door, max_document_bytes=10_000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing())


def assert_problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


async def test_each_verb_reaches_the_desk_on_a_thread_of_its_own(client: httpx.AsyncClient, desk: FakeDesk) -> None:
    assert (await client.get("/v1/versions", params={"corpus": "main"})).json() == {"versions": []}
    started = await client.post("/v1/versions", json={"corpus": "main", "spec": {"store": {"kind": "sq8"}}})
    assert (started.status_code, started.json()["run_id"]) == (202, "manual__1")
    assert (await client.post("/v1/versions", json={})).status_code == 202
    assert (await client.post("/v1/versions/v1/promote")).json()["proof"]["chunks"] == 2
    assert (await client.post("/v1/versions/v1/promote", json={"unchecked": True})).json()["proof"] is None
    back = await client.post("/v1/corpora/main/rollback", json={"reason": " worse "})
    assert back.json()["live_version"] == "v0"
    assert_problem(await client.post("/v1/versions/v1/retire"), 409)
    assert_problem(await client.post("/v1/versions/v1/refuse", json={"reason": "bad"}), 409)
    assert desk.asked == [
        ("list", "main"),
        ("build", "main", {"store": {"kind": "sq8"}}),
        ("build", "main", "live"),
        ("promote", "v1", False),
        ("promote", "v1", True),
        ("rollback", "main", "worse"),
        ("retire", "v1"),
        ("refuse", "v1", "bad"),
    ]
    assert threading.get_ident() not in desk.threads


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/versions", {"corpus": "Main"}),
        ("/v1/versions", {"spec": 7}),
        ("/v1/versions", {"spec": "x" * 20_001}),
        ("/v1/versions", {"surprise": 1}),
        ("/v1/versions/UP/promote", {}),
        ("/v1/versions/v1/promote", {"unchecked": "perhaps"}),
        ("/v1/versions/v1/refuse", {}),
        ("/v1/versions/v1/refuse", {"reason": " "}),
        ("/v1/corpora/main/rollback", {"reason": "x" * 501}),
        ("/v1/corpora/..%2f/rollback", {"reason": "x"}),
    ],
)
async def test_bad_requests_never_reach_the_desk(
    client: httpx.AsyncClient, desk: FakeDesk, path: str, body: dict[str, Any]
) -> None:
    response = await client.post(path, json=body)
    assert_problem(response, response.status_code)
    assert response.status_code in (404, 422)
    assert desk.asked == []


async def test_an_incomplete_version_is_a_conflict_with_what_is_missing(client, desk: FakeDesk) -> None:
    desk.fails = IncompleteIndex("2 chunks missing")
    assert "2 chunks missing" in assert_problem(await client.post("/v1/versions/v1/promote"), 409)
    assert_problem(await client.get("/v1/versions/v9"), 404)


async def test_every_route_is_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert set(paths) == {
        "/v1/versions",
        "/v1/versions/{version_id}",
        "/v1/versions/{version_id}/promote",
        "/v1/versions/{version_id}/retire",
        "/v1/versions/{version_id}/refuse",
        "/v1/corpora/{corpus}/rollback",
    }
    assert all(verb["summary"] for path in paths.values() for verb in path.values())


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path) -> Corpus:
    corpus = Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url, airflow_port=1))
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    return corpus


async def test_the_whole_way_over_a_real_catalog(corpus: Corpus) -> None:
    client = client_of(VersionDesk(corpus.settings))
    for version_id in ("v1", "v2"):
        build_version(version_id, "main", SPEC, corpus.settings, patience_s=0)
        assert (await client.post(f"/v1/versions/{version_id}/promote")).status_code == 200
    back = await client.post("/v1/corpora/main/rollback", json={"reason": "worse"})
    assert (back.json()["live_version"], back.json()["previous_version"]) == ("v1", "v2")
    assert (await client.post("/v1/versions/v2/refuse", json={"reason": "bad"})).json()["state"] == "failed"
    assert (await client.post("/v1/versions/v2/retire")).json()["lag_changes"] is None
    assert_problem(await client.post("/v1/versions/v1/retire"), 409)
    listed = (await client.get("/v1/versions")).json()["versions"]
    assert {version["version_id"]: version["share"] for version in listed} == {"v1": 1.0, "v2": 0.0}
    shown = (await client.get("/v1/versions/v1")).json()
    assert shown["parts"]["embedding"]["model"] == "hash"


async def test_a_build_needs_an_airflow_a_corpus_and_a_spec(corpus: Corpus) -> None:
    client = client_of(VersionDesk(corpus.settings))
    response = await client.post("/v1/versions", json={})
    assert "tells no password for Airflow" in assert_problem(response, 503)
    passwords = corpus.settings.home / "airflow" / "simple_auth_manager_passwords.json.generated"
    passwords.parent.mkdir(parents=True)
    passwords.write_text('{"admin": "secret"}')
    response = await client.post("/v1/versions", json={})
    assert "Airflow does not answer" in assert_problem(response, 503)
    assert int(response.headers["retry-after"]) > 0
    assert "no documents" in assert_problem(await client.post("/v1/versions", json={"corpus": "nope"}), 404)
    for spec in ("nope", {"store": {"kind": "x"}}, {"deep": [[[]]]}):
        assert "spec" in assert_problem(await client.post("/v1/versions", json={"spec": spec}), 422)
