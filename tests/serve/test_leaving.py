"""Callers who hang up while a slow model talks: it is told to stop, through the proxy, the gateway and the tier."""

import socket
from collections.abc import Iterator

import httpx
import psutil
import pytest

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
    said = f"{_SENTENCE} {' '.join(['well'] * _WORDS)}"
    with paced_engine(said, _PACE_S) as url:
        yield url


@pytest.fixture(scope="module")
def callers(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    server: dict[str, object] = {"openai_url": engine, "deep_model": "paced"}
    with answering_platform(tmp_path_factory.mktemp("leaving") / "home", ["red"], _TEXTS, **server) as callers:
        yield callers


def talks(engine: str) -> int:
    """Readers that the model is talking to: everybody who is connected to its port."""
    port = httpx.URL(engine).port
    connections = psutil.net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == port and each.status == "ESTABLISHED" for each in connections)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_generation(callers: Callers, engine: str, stream: bool) -> None:
    assert talks(engine) == 0
    url = httpx.URL(f"{callers.settings.http_url}/v1/answer")
    asked = httpx.Request(
        "POST", url, json={"question": _QUESTION, "tier": "deep", "stream": stream}, headers=callers.showing("red")
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
    with socket.create_connection((url.host, url.port or 80), timeout=_BOUND_S) as client:
        client.sendall(f"POST {url.path} HTTP/1.1\r\n{head}\r\n".encode() + asked.read())
        poll(lambda: talks(engine) == 1, "the model to begin", _BOUND_S)
    print(f"stopped after {poll(lambda: talks(engine) == 0, 'the model to stop', _BOUND_S):.1f} s")
