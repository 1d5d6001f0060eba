"""Thousands of requests made from the API's own description, valid and garbage, to the whole gateway in one process.

The gateway is the deployment itself over a real catalog, with every route that it serves; only the models and Serve's
handles are stood in for. Nothing may end in an error of ours, or in an answer that the description does not know.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.feedback.opinions import Opinions
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.uploads import Uploads
from include.quarry.gateway.caller import SCOPES
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.generation.answers import TierEvent
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.extractive_tier import ExtractiveTier
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.settings import Settings
from ray_apps.gateway import deployment

_CASES = 1_300
"""Of each kind, shared out among all operations; those that take no arguments have fewer to offer."""
_PATIENCE_S = 120
_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
_NOT_HERE = {("GET", "/metrics"), ("POST", "/v1/versions")}
"""Need Ray's agent and Airflow, which do not run: a 503 is right, and documented."""
_CHUNK = Chunk(
    "c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage("Granite is hard.", "A", 0, 16, 4), {}
)


class Handle:
    """A Serve handle whose replica is an object of this process."""

    def __init__(self, replica: Any) -> None:
        self._replica = replica

    def options(self, **_: object) -> "Handle":
        return self

    def __getattr__(self, method: str) -> SimpleNamespace:
        return SimpleNamespace(remote=getattr(self._replica, method))


class Retrieving:
    """Finds one passage in the corpus `main`, and has no other."""

    async def retrieve(self, corpus: str, *_: object, index_version: str | None = None, **__: object) -> Retrieval:
        if corpus != "main" or index_version is not None:
            raise NotFound(f"no corpus {corpus!r}")
        return Retrieval([Hit(_CHUNK, 0.5, {"dense": 1})], "v1", 1, {"total": 1.0})

    async def watermark(self, _corpus: str) -> int:
        return 0

    async def check_health(self) -> None: ...


class Indexing(Uploads):
    """Accepts documents into the catalog."""

    async def embed(self, *_: object) -> object:
        raise InvalidInput("nothing embeds here")

    async def check_health(self) -> None: ...


class Tier:
    """Answers with the passages' own sentences, over as much of a Serve handle as a stream needs."""

    def options(self, **_: object) -> "Tier":
        return self

    @property
    def answer(self) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *asked: Events(asked))

    @property
    def check_health(self) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda: asyncio.sleep(0))


class Events:
    """What Serve gives for a stream: to be read on, and to be cancelled."""

    def __init__(self, asked: tuple[Any, ...]) -> None:
        question, hits, wish, visit = asked
        self._events = ExtractiveTier().answer(question, read_evidence(hits), wish, visit)

    async def __anext__(self) -> TierEvent:
        return await anext(self._events)

    def cancel(self) -> None: ...


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home: Path = tmp_path_factory.mktemp("fuzz")
    options = Settings(home=home, access_log="off", metrics_port=1, airflow_port=1, _env_file=None)
    migrate(options.catalog_url)
    database = Database(options.catalog_url)
    indexing = Indexing(database, Ingestor(database, make_chunker, 100_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployment.serve, "get_deployment_handle", lambda *_, **__: Handle(Retrieving()))
        patch.setattr(deployment, "Opinions", partial(Opinions, patience_s=0.0))  # the queries it is told of never were
        gateway = object.__new__(deployment.GatewayDeployment.func_or_class.__bases__[0])
        gateway.__init__(options, Handle(indexing), Tier(), Tier())
    load_all_checks()
    schema = schemathesis.openapi.from_asgi("/openapi.json", gateway.__serve_build_asgi_app__())
    schema.shown = bearer(make_token(options, "red", *SCOPES))
    yield schema
    database.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_ends_in_an_error_of_ours_or_in_the_unknown(schema: Any, mode: GenerationMode) -> None:
    operations = [each.ok() for each in schema.get_all_operations()]
    seen: list[int] = []
    assert len(operations) >= 15

    @settings(
        max_examples=-(-_CASES // len(operations)),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        response = case.call(headers=schema.shown, timeout=_PATIENCE_S)
        seen.append(response.status_code)
        name = (case.method.upper(), case.operation.path)
        allowed = {503} if name in _NOT_HERE else {504} if "X-Request-Timeout-Ms" in (case.headers or {}) else set()
        assert response.status_code < 500 or response.status_code in allowed, (case.as_curl_command(), response.text)
        case.validate_response(response, checks=_CHECKS)

    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters or operation.query):
            continue
        given(case=operation.as_strategy(generation_mode=mode))(send)()
    print(f"{mode.value}: {len(seen)} requests, {dict(sorted((code, seen.count(code)) for code in set(seen)))}")
    assert len(seen) >= 1_000
