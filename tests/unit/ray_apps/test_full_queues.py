"""More requests than a queue holds: a problem body that says when to come back, never a 500."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from ray.serve.exceptions import BackPressureError
from ray.serve.schema import ServeDeploySchema

from include.quarry.catalog.database import Database
from include.quarry.gateway.caller import PRIORITIES
from include.quarry.generation.answering import Answerer
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.settings import Settings
from ray_apps.gateway.deployment import GatewayDeployment
from ray_apps.gateway.tiers import RemoteTier
from tests.door import open_test_door, showing

CONFIGS = Path(__file__).parents[3] / "ray_apps" / "config"
TEXT = "The quarry opens at seven in the morning."
CHUNK = Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(TEXT, "", 0, len(TEXT), 1), {})
FOUND = Retrieval([Hit(CHUNK, 0.5, {})], "v1", 7, {"total": 1.0})
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


class FullTier:
    """A handle on a tier that Serve hands nothing more over to."""

    def options(self, **_: object) -> "FullTier":
        return self

    @property
    def answer(self) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *_: self)

    async def __anext__(self) -> object:
        raise FULL

    def cancel(self) -> None:
        pass


@pytest.fixture
def gateway(tmp_path: Path) -> Any:
    made = object.__new__(GatewayDeployment.func_or_class.__bases__[0])  # without the wrapping of `serve.ingress`
    made._settings, made._door = Settings(home=tmp_path, _env_file=None), open_test_door()
    made._database = Database(made._settings.catalog_url)
    made._indexing, made._retrieval = Handle(), Handle()
    made._answerer = Answerer({"fast": RemoteTier(FullTier(), str), "deep": RemoteTier(FullTier(), str)})
    made._cached = None
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


async def test_when_every_tier_is_full_the_passages_speak_for_themselves(gateway: Any) -> None:
    gateway._retrieval = Handle(FOUND)
    client = client_of(gateway)
    body = {"question": "When does the quarry open?", "tier": "deep"}
    answered = (await client.post("/v1/answer", json=body)).raise_for_status().json()
    assert (answered["tier"], answered["grounded"]) == ("extractive", True)
    assert answered["tier_reason"] == "deep was asked for; deep does not answer; fast does not answer"


@pytest.mark.parametrize("stream", [False, True])
async def test_more_answers_at_once_than_may_be_may_come_back(gateway: Any, stream: bool) -> None:
    gateway._retrieval = Handle(FOUND)
    gateway._answerer = Answerer({}, at_once=0)
    body = {"question": "When does the quarry open?", "stream": stream}
    assert_come_back(await client_of(gateway).post("/v1/answer", json=body))


@pytest.mark.parametrize("name", ["local", "production"])
def test_a_tiers_own_queue_decides_and_not_the_one_that_serve_keeps_before_it(name: str) -> None:
    document = ServeDeploySchema.model_validate(yaml.safe_load((CONFIGS / f"serve.{name}.yaml").read_text()))
    (gateway,) = (each for each in document.applications if each.name == "gateway")
    tiers = {each.name: each for each in gateway.deployments if each.name in ("Fast", "Deep")}
    settings = Settings(_env_file=None)
    for tier, slots in (("Fast", settings.fast_slots), ("Deep", settings.deep_slots)):
        assert tiers[tier].max_ongoing_requests > slots + len(PRIORITIES) * settings.tier_places


@pytest.mark.parametrize("name", ["local", "production"])
def test_every_deployment_bounds_its_queue_and_the_front_doors_say_when_to_come_back(name: str) -> None:
    document = ServeDeploySchema.model_validate(yaml.safe_load((CONFIGS / f"serve.{name}.yaml").read_text()))
    for application in document.applications:
        if application.name == "llm":  # Ray's own; the tier before it queues
            continue
        for deployment in application.deployments:
            assert 0 < deployment.max_ongoing_requests <= deployment.max_queued_requests
        front_door = application.deployments[0]
        assert front_door.backpressure_config.retry_after_s
