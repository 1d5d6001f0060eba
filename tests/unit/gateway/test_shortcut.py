"""The shortcut answers what the framework would answer, word for word but for the number of the request."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import NotFound, Unavailable
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.retrieval_routes import retrieval_routes
from tests.door import open_test_door, showing
from tests.unit.gateway.test_http import MAX_BYTES, Platform

JSON = {"Content-Type": "application/json"}


def client(platform: Platform, *, quick: bool) -> httpx.AsyncClient:
    door, retrieve = open_test_door(), platform.retrieve if quick else None
    app = build_http_app(
        [retrieval_routes(platform.retrieve, door)], door, max_document_bytes=MAX_BYTES, retrieve=retrieve
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red"))


async def both(content: Any, headers: dict[str, str] | None = None, fails: Exception | None = None) -> tuple[int, Any]:
    """What is answered either way, which is the same."""
    seen = []
    for quick in (True, False):
        platform = Platform()
        platform.fails = fails
        async with client(platform, quick=quick) as http:
            response = await http.post("/v1/retrieve", content=content(), headers={**JSON, **(headers or {})})
        names = {name: value for name, value in response.headers.items() if name not in ("x-request-id", "traceparent")}
        body = response.json()
        if "query_id" in body:
            assert len(body.pop("query_id")) == 32
        seen.append((response.status_code, names, body, platform.asked))
    assert seen[0] == seen[1]
    return seen[0][0], seen[0][2]


async def test_the_access_log_names_the_route() -> None:
    written: list[bytes] = []
    platform, door = Platform(), open_test_door(log_line=written.append)
    app = build_http_app(
        [retrieval_routes(platform.retrieve, door)],
        door,
        max_document_bytes=MAX_BYTES,
        retrieve=platform.retrieve,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red")) as http:
        assert (await http.post("/v1/retrieve", json={"query": "x"})).status_code == 200
        platform.fails = NotFound("no such version")
        assert (await http.post("/v1/retrieve", json={"query": "x"})).status_code == 404
        assert (await http.post("/v1/retrieve", json={"query": ""})).status_code == 422
    assert [json.loads(line)["route"] for line in written] == ["/v1/retrieve"] * 3


def sending(body: object) -> Any:
    return lambda: json.dumps(body).encode()


@pytest.mark.parametrize(
    "body",
    [
        {"query": " what? "},
        {"query": "x", "top_k": "7", "filters": {"uri": "file:///a"}, "corpus": "notes"},
        {"query": "x", "top_k": 7.0, "index_version": "v1"},
    ],
)
async def test_a_query_is_answered_the_same(body: dict[str, object]) -> None:
    status, found = await both(sending(body))
    assert (status, found["hits"][0]["doc_id"]) == (200, "a")


async def test_a_query_that_comes_in_pieces_or_as_another_kind_is_answered_the_same() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"que', b'ry": "x"', b"}"):
            yield piece

    assert (await both(pieces))[0] == 200
    assert (await both(pieces, {"Content-Length": "14"}))[0] == 200
    for kind in ("application/json; charset=utf-8", "text/plain", ""):
        await both(sending({"query": "x"}), {"Content-Type": kind})


@pytest.mark.parametrize("error", [NotFound("gone"), Unavailable("busy", retry_after_s=7), ZeroDivisionError("bug")])
async def test_an_error_is_told_the_same(error: Exception) -> None:
    status, _ = await both(sending({"query": "x"}), fails=error)
    assert status == getattr(error, "status", 500)


async def test_who_may_not_ask_is_refused_the_same() -> None:
    for scope, more in (("answer", {}), ("admin", {}), ("retrieve", {"index_version": "v1"})):
        status, _ = await both(sending({"query": "x", **more}), showing("red", scope))
        assert status == 403
    assert (await both(sending({"query": "x"}), {"Authorization": "Bearer x"}))[0] == 401


async def test_a_body_over_the_limit_is_refused_the_same() -> None:
    assert (await both(sending({"query": "x" * 200_000})))[0] == 413


_values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("x"))
_bodies = st.dictionaries(
    st.sampled_from(["query", "top_k", "filters", "corpus", "index_version", "more"]),
    _values | st.dictionaries(st.text(max_size=3), _values, max_size=2),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(content=_bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60))
async def test_whatever_is_sent_is_answered_the_same(content: bytes) -> None:
    await both(lambda: content)
