"""More requests than a queue holds: a problem body that says when to come back, never a 500."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from ray.serve.exceptions import BackPressureError
from ray.serve.schema import ServeDeploySchema

from include.quarry.catalog.database import Database
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.settings import Settings
from ray_apps.gateway.deployment import GatewayDeployment
from tests.door import open_test_door, showing

CONFIGS = Path(__file__).parents[3] / "ray_apps" / "config"
CHUNK = Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage("Text.", "", 0, 5, 1), {})
FULL = BackPressureError(64, 64)


class Handle:
    """Stands for a handle of Serve's: its calls are refused, or give `answer`."""

    def __init__(self, answer: object = FULL) -> None:
        self._answer = answer

    def __getattr__(self, _method: str) -> SimpleNamespace:
        return SimpleNamespace(remote=self._call)

    async def _call(self, *_: object, **__: object) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class FullGenerator:
    answer = SimpleNamespace(remote=lambda *_: FullGenerator.stream())

    @staticmethod
    async def stream() -> AsyncIterator[object]:
        raise FULL
        yield


@pytest.fixture
def gateway(tmp_path: Path) -> Any:
    made = object.__new__(GatewayDeployment.func_or_class.__bases__[0])  # without the wrapping of `serve.ingress`
    made._settings, made._door = Settings(home=tmp_path, _env_file=None), open_test_door()
    made._database = Database(made._settings.catalog_url)
    made._indexing, made._retrieval, made._generation = Handle(), Handle(), FullGenerator()
    return made


def client_of(gateway: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(gateway.__serve_build_asgi_app__(), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing())


def assert_come_back(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    assert "try again" in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/documents/a", {"text": "x"}),
        ("GET", "/v1/documents/a", None),
        ("DELETE", "/v1/documents/a", None),
        ("POST", "/v1/retrieve", {"query": "x"}),
        ("POST", "/v1/answer", {"question": "x"}),
    ],
)
async def test_a_request_that_no_queue_takes_may_come_back(
    gateway: Any, method: str, path: str, body: dict[str, str] | None
) -> None:
    assert_come_back(await client_of(gateway).request(method, path, json=body))


async def test_an_answer_that_the_generators_queue_refuses_may_come_back(gateway: Any) -> None:
    gateway._retrieval = Handle(Retrieval([Hit(CHUNK, 0.5, {})], "v1", 7, {"total": 1.0}))
    client = client_of(gateway)
    assert_come_back(await client.post("/v1/answer", json={"question": "x"}))
    stream = await client.post("/v1/answer", json={"question": "x", "stream": True})
    assert stream.text.startswith("event: problem")
    assert '"status": 503' in stream.text


@pytest.mark.parametrize("name", ["local", "production"])
def test_every_deployment_bounds_its_queue_and_the_front_doors_say_when_to_come_back(name: str) -> None:
    document = ServeDeploySchema.model_validate(yaml.safe_load((CONFIGS / f"serve.{name}.yaml").read_text()))
    for application in document.applications:
        for deployment in application.deployments:
            assert 0 < deployment.max_ongoing_requests <= deployment.max_queued_requests
        front_door = application.deployments[0]
        assert front_door.backpressure_config.retry_after_s
