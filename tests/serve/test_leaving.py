"""Callers who hang up while a slow model talks: it is told to stop, through the proxy, the gateway and the tier, and
what it said until then is paid for."""

import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from include.quarry.gateway.caller import SCOPES
from include.quarry.gateway.composition import bearer, make_token
from tests.benchmarks.answering import Callers, answering_platform
from tests.serve.conftest import poll
from tests.servers.paced_engine import paced_engine

pytestmark = pytest.mark.serve
_BOUND_S = 60.0
_WORDS, _PACE_S = 800, 0.25
"""The model would go on for much longer than anybody waits here."""
_SENTENCE = "The lighthouse of Marrow was built in 1800 [1]."
_TEXTS = {"marrow.md": "# Marrow\n\nThe lighthouse of Marrow was built in 1800.\n"}
_QUESTION = "In which year was the lighthouse of Marrow built?"


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    said = f"{_SENTENCE} Well, {' '.join(['well'] * _WORDS)}"
    with paced_engine(said, _PACE_S) as url:
        yield url


@pytest.fixture(scope="module")
def callers(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    server: dict[str, object] = {"openai_url": engine, "deep_model": "paced"}
    home, tenants = tmp_path_factory.mktemp("leaving") / "home", ["red", *_PAYS.values()]
    with answering_platform(home, tenants, _TEXTS, **server) as callers:
        yield callers


def talks(engine: str) -> int:
    """Readers that the model is talking to: everybody who is connected to its port."""
    port = httpx.URL(engine).port
    connections = psutil.net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port and each.status == "ESTABLISHED" for each in connections)


@pytest.fixture(scope="module")
def leavers() -> list[str]:
    """Whoever has left so far."""
    return []


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_generation(
    callers: Callers, engine: str, leavers: list[str], stream: bool
) -> None:
    assert talks(engine) == 0
    url = httpx.URL(f"{callers.settings.http_url}/v1/answer")
    asked = httpx.Request(
        "POST", url, json={"question": _QUESTION, "tier": "deep", "stream": stream}, headers=callers.showing("red")
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
    with socket.create_connection((url.host, url.port or 80), timeout=_BOUND_S) as client:
        client.sendall(f"POST {url.path} HTTP/1.1\r\n{head}\r\n".encode() + asked.read())
        poll(lambda: talks(engine) == 1, "the model to begin", _BOUND_S)
    leavers.append("red")
    print(f"stopped after {poll(lambda: talks(engine) == 0, 'the model to stop', _BOUND_S):.1f} s")


_PAYS = {"/v1/answer": "green", "/v1/chat/completions": "blue"}
"""Tenants of whom nobody else left a moment ago: that is booked when the engine has stopped, not before."""
_STREAMS: dict[str, dict[str, Any]] = {
    "/v1/answer": {"question": _QUESTION, "tier": "deep", "stream": True},
    "/v1/chat/completions": {
        "model": "quarry-deep",
        "messages": [{"role": "user", "content": _QUESTION}],
        "stream": True,
    },
}


@pytest.mark.parametrize("path", _STREAMS)
def test_who_leaves_a_stream_pays_for_what_was_generated_until_then(
    callers: Callers, leavers: list[str], path: str
) -> None:
    shown = bearer(make_token(callers.settings, _PAYS[path], *SCOPES))
    with httpx.Client(base_url=callers.settings.http_url, headers=shown, trust_env=False, timeout=_BOUND_S) as http:
        before = _used(http)
        with http.stream("POST", path, json=_STREAMS[path]) as response:
            query_id = response.headers["x-request-id"]
            assert any("built in 1800" in line for line in response.iter_lines())
        leavers.append(_PAYS[path])
        took_s = poll(lambda: len(_records(http, query_id)) == 2, "the record", _BOUND_S)
        begun, left = sorted(_records(http, query_id), key=lambda each: str(each["facts"]["outcome"]))
        assert (begun["facts"]["outcome"], left["facts"]["outcome"]) == ("begun", "left")
        usage = left["facts"]["usage"]
        print(f"on record after {took_s:.1f} s: {usage}, {left['facts']['cost']}")
        assert usage["prompt_tokens"] > 0
        assert len(_SENTENCE.split()) <= usage["completion_tokens"] < _WORDS
        assert usage["engine_s"] >= _PACE_S * len(_SENTENCE.split())
        poll(lambda: _used(http)["tokens"] > before["tokens"], "the usage", _BOUND_S)
        after = _used(http)
        assert after["tokens"] - before["tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert after["answers"] == before["answers"]
        poll(lambda: _left_parts(http) == len(leavers), "the metrics of the tier", _BOUND_S)


def _records(http: httpx.Client, query_id: str) -> list[dict[str, Any]]:
    found = http.get("/v1/audit", params={"query_id": query_id}).raise_for_status().json()["records"]
    return list(found)


def _used(http: httpx.Client) -> dict[str, Any]:
    return dict(http.get("/v1/usage").raise_for_status().json()["days"][0])


def _left_parts(http: httpx.Client) -> float:
    line = r'(?m)^\w*quarry_tier_ends_total{[^}]*how="left"[^}]*} ([\d.e+]+)$'
    return sum(map(float, re.findall(line, http.get("/metrics").text)))
