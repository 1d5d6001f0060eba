"""The OpenAPI document: security, scopes, problems and headers of every route."""

from typing import Any

import httpx
import pytest

from tests.unit.gateway.test_http import Platform, client_of


@pytest.fixture
async def document() -> dict[str, Any]:
    found: dict[str, Any] = (await client_of(Platform()).get("/openapi.json")).json()
    return found


async def test_every_guarded_route_names_its_scope_and_its_problems(document: dict[str, Any]) -> None:
    operations = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    open_to_all = {name for name, operation in operations.items() if not operation.get("security")}
    assert open_to_all == {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
    assert operations["PUT", "/v1/documents/{doc_id}"]["security"] == [{"token": ["write"]}]
    assert operations["GET", "/v1/documents/{doc_id}"]["security"] == [{"token": ["retrieve"]}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for name, operation in operations.items():
        problems = {status for status in operation["responses"] if status >= "400"}
        assert problems >= ({"503"} if name in open_to_all else {"401", "403", "404", "422", "429", "503", "504"}), name
        for status in problems:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
        headers = {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
        assert headers == (set() if name in open_to_all else {"X-Request-Timeout-Ms", "traceparent"})


async def test_what_is_referred_to_is_there(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    names = {ref.rpartition("/")[2] for ref in _references(document)}
    assert names <= schemas.keys()


async def test_every_response_says_which_request_it_answers() -> None:
    client = client_of(Platform())
    del client.headers["Authorization"]
    refused = await client.post("/v1/retrieve", json={"query": "x"})
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    assert len(refused.headers["x-request-id"]) == 32
    assert refused.headers["traceparent"].startswith("00-")
    platform = Platform()
    platform.fails = ZeroDivisionError("no")
    broken = await client_of(platform).post("/v1/retrieve", json={"query": "x"})
    assert broken.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert len(broken.headers["x-request-id"]) == 32


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in _references(value)]
    return [ref for value in part for ref in _references(value)] if isinstance(part, list) else []
