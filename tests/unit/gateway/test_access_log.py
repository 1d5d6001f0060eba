"""The access log says who, what kind, how and how long, in one JSON line a request, and nothing of the content."""

import json
from typing import Any

import pytest

from include.quarry.errors import Unavailable
from tests.door import showing, token
from tests.unit.gateway.test_http import Platform, client_of

SECRETS = ("the question", "secret-document", "words of the document", token("red"))


async def lines(platform: Platform, *requests: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    written: list[bytes] = []
    client = client_of(platform, log_line=written.append)
    for method, path, more in requests:
        await client.request(method, path, **({"headers": showing("red")} | more))
    assert not any(secret in line.decode() for line in written for secret in SECRETS)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)
    return [json.loads(line) for line in written]


async def test_a_line_names_the_caller_the_route_and_the_outcome() -> None:
    body = {"query": "the question"}
    sent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", **showing("red")}
    (line,) = await lines(Platform(), ("POST", "/v1/retrieve", {"json": body, "headers": sent}))
    assert line.pop("time").endswith("Z")
    assert line.pop("ms") >= 0
    assert len(line.pop("query_id")) == 32
    assert line.pop("traceparent").startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    expected = {"method": "POST", "route": "/v1/retrieve", "status": 200, "tenant": "red", "subject": "tester"}
    assert line == expected


async def test_ids_in_paths_are_content() -> None:
    put = ("PUT", "/v1/documents/secret-document", {"json": {"text": "words of the document"}})
    gone = ("GET", "/v1/documents/secret-document", {})
    assert [(line["route"], line["status"]) for line in await lines(Platform(), put, gone)] == [
        ("/v1/documents/{doc_id:path}", 202),
        ("/v1/documents/{doc_id:path}", 404),
    ]


async def test_who_is_sent_away_leaves_a_line_too() -> None:
    (line,) = await lines(Platform(), ("GET", "/v1/documents/secret-document", {"headers": {"Authorization": "x"}}))
    assert (line["status"], line["route"], line["tenant"]) == (401, None, None)
    assert len(line["query_id"]) == 32


async def test_failures_and_streams_leave_one_line_each() -> None:
    platform = Platform()
    platform.fails = Unavailable("warming up")
    asks = ("POST", "/v1/answer", {"json": {"question": "the question", "stream": True}})
    assert [line["status"] for line in await lines(platform, asks)] == [503]
    platform.fails = ZeroDivisionError("words of the document")
    assert [line["status"] for line in await lines(platform, asks)] == [500]
    platform.fails = None
    assert [line["status"] for line in await lines(platform, asks)] == [200]


async def test_health_leaves_no_line() -> None:
    assert await lines(Platform(), ("GET", "/healthz", {}), ("GET", "/openapi.json", {})) == []


async def test_a_request_that_is_cut_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    platform, written = Platform(), []
    platform.fails = KeyboardInterrupt()  # type: ignore[assignment]
    client = client_of(platform, log_line=written.append)
    with pytest.raises(KeyboardInterrupt):
        await client.post("/v1/retrieve", json={"query": "x"})
    assert json.loads(written[0])["status"] == 499
