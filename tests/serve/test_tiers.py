"""Tiers that die or hang while they answer: nothing wrong is said, and all of it comes back."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from include.quarry.operations.processes import processes_of
from tests.benchmarks.answering import documents, question
from tests.processes import title_of
from tests.serve.conftest import Api, poll

pytestmark = [pytest.mark.serve, pytest.mark.chaos]
_BOUND_S = 90.0
_QUESTION = question(0)
_TRUE = "1800"
_TENANT = "keepers"
"""Has one document: beside others like it, a small model sometimes tells of another one."""


@pytest.fixture(scope="module")
def ready(api: Api) -> Api:
    doc_id, text = next(iter(documents().items()))
    api.put(doc_id, text, _TENANT, content_type="text/markdown", title=doc_id)
    poll(lambda: doc_id in api.found(_QUESTION, _TENANT), "the document to be found", _BOUND_S)
    poll(lambda: ask(api)["tier"] == "fast", "the fast tier", _BOUND_S)
    return api


def ask(api: Api, tier: str = "fast") -> dict[str, object]:
    answer = api.answer(_QUESTION, _TENANT, "no-store", tier=tier)
    answered: dict[str, object] = answer.raise_for_status().json()
    assert answered["grounded"], answered
    assert _TRUE in str(answered["answer"]), answered
    return answered


def replica_of(api: Api, tier: str) -> psutil.Process | None:
    return next(
        (each for each in processes_of(api.installation) if f"ServeReplica:gateway:{tier}" in title_of(each)), None
    )


class Stream(threading.Thread):
    """A client that reads a streamed answer; `begun` once the response's headers are there."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api
        self.begun = threading.Event()
        self.last: tuple[str, dict[str, object]] = ("", {})

    def run(self) -> None:
        body = {"question": _QUESTION, "tier": "fast", "stream": True}
        headers = {**self._api.showing(_TENANT), "Cache-Control": "no-store"}
        with self._api.http.stream("POST", "/v1/answer", json=body, headers=headers) as response:
            self.begun.set()
            name = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.last = (name, json.loads(line.removeprefix("data: ")))


@contextmanager
def streaming(api: Api, count: int) -> Iterator[list[Stream]]:
    """Streams under way; at the end of the block each has come to its end."""
    streams = [Stream(api) for _ in range(count)]
    for stream in streams:
        stream.start()
    for stream in streams:
        assert stream.begun.wait(_BOUND_S)
    yield streams
    for stream in streams:
        stream.join(_BOUND_S)
        assert not stream.is_alive()


def test_a_tier_killed_in_mid_flight_leaves_true_answers_and_comes_back(ready: Api) -> None:
    victim = replica_of(ready, "Fast")
    assert victim is not None
    with streaming(ready, 3) as streams:
        victim.kill()
    for stream in streams:
        name, answered = stream.last
        assert name == "answer", stream.last
        assert answered["grounded"]
        assert _TRUE in str(answered["answer"]), answered
    meanwhile = ask(ready)
    print(f"meanwhile: {meanwhile['tier']}, {meanwhile['tier_reason']}, {meanwhile['timings_ms']}")
    print(f"back after {poll(lambda: ask(ready)['tier'] == 'fast', 'the fast tier', _BOUND_S):.1f} s")


def test_a_tier_that_hangs_is_given_up_and_asked_again_when_it_moves(ready: Api) -> None:
    victim = replica_of(ready, "Fast")
    assert victim is not None
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        hung = ask(ready)
        assert hung["tier"] == "extractive"
        assert "fast does not answer" in str(hung["tier_reason"])
        print(f"given up: {hung['timings_ms']}")
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    print(f"back after {poll(lambda: ask(ready)['tier'] == 'fast', 'the fast tier', _BOUND_S):.1f} s")


def test_without_its_model_deep_says_so_and_fast_answers(ready: Api) -> None:
    poll(lambda: ask(ready, tier="deep")["tier"] == "fast", "the fast tier", _BOUND_S)
    assert "make deep-model" in str(ask(ready, tier="deep")["tier_reason"])
