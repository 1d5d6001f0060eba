"""Kept results over real HTTP: said in the response, as fresh as what they were made from, counted in the metrics."""

import re
import signal
import uuid
from functools import partial
from typing import Any

import httpx
import pytest

from tests.benchmarks.answering import documents, question
from tests.serve.conftest import Api, poll
from tests.servers.memcached import MemcachedServer

pytestmark = pytest.mark.serve
_BOUND_S = 30.0


def test_a_query_asked_again_is_answered_from_the_cache_and_says_so(api: Api, word: str) -> None:
    api.put("kept", f"The {word} is kept.").raise_for_status()
    poll(lambda: "kept" in api.found(word), "the document to be found", _BOUND_S)
    query = f"where is the {word} kept"
    poll(lambda: is_hit(api.retrieve(query)), "an answer from the cache", _BOUND_S)
    again, past = api.retrieve(query), api.retrieve(query, caching="no-store")
    assert [cache_status(each) for each in (again, past)] == ["hit", "fwd=request"]
    assert again.json()["hits"] == past.json()["hits"]
    assert again.json()["query_id"] != past.json()["query_id"]
    assert api.retrieve(query, "umbra").json()["hits"] == []


def test_an_update_and_a_delete_win_over_what_was_kept(api: Api, word: str) -> None:
    for metal in ("bronze", "nickel"):
        api.put("valve", f"The {word} valve is made of {metal}.").raise_for_status()
        poll(partial(_shows, api, word, {metal}), f"only {metal} to be shown", _BOUND_S)
        poll(lambda: is_hit(api.retrieve(word)), "an answer from the cache", _BOUND_S)
        assert [_metals(api.retrieve(word)) for _ in range(5)] == [{metal}] * 5
    api.delete("valve").raise_for_status()
    poll(partial(_shows, api, word, set()), "the valve to be gone", _BOUND_S)
    assert [_metals(api.retrieve(word)) for _ in range(5)] == [set()] * 5


def test_the_changes_of_another_tenant_leave_the_cache_alone(api: Api, word: str) -> None:
    api.put("mine", f"My {word}.", "acme").raise_for_status()
    poll(lambda: "mine" in api.found(word, "acme"), "the document to be found", _BOUND_S)
    poll(lambda: is_hit(api.retrieve(f"{word} again", "acme")), "an answer from the cache", _BOUND_S)
    api.put("theirs", f"Their {word}.", "umbra").raise_for_status()
    poll(lambda: "theirs" in api.found(word, "umbra"), "the other tenant's document to be found", _BOUND_S)
    assert is_hit(api.retrieve(f"{word} again", "acme"))


def test_a_dead_memcached_costs_no_answer_and_is_found_again(
    api: Api, memcached: MemcachedServer | None, word: str
) -> None:
    if memcached is None:
        pytest.skip("memcached is not installed (apt-get install memcached)")

    def keeps() -> bool:
        assert _metals(api.retrieve(f"{word} {uuid.uuid4().hex}")) == {"nickel"}
        return memcached.entries() > 0

    api.put("valve", f"The {word} valve is made of bronze.").raise_for_status()
    poll(partial(_shows, api, word, {"bronze"}), "the valve", _BOUND_S)
    failures = _metric(api, "quarry_cache_failures")
    memcached.send(signal.SIGKILL)
    try:
        api.put("valve", f"The {word} valve is made of nickel.").raise_for_status()
        poll(partial(_shows, api, word, {"nickel"}), "the update to win over what was kept", _BOUND_S)
        for number in range(20):
            assert _metals(api.retrieve(f"{word} {number}")) == {"nickel"}
        poll(lambda: _metric(api, "quarry_cache_failures") > failures, "the metrics to say so", _BOUND_S)
    finally:
        memcached.start()
    print(f"found again after {poll(keeps, 'results to be kept again', _BOUND_S):.1f} s")


def test_what_the_cache_does_is_in_the_metrics(api: Api) -> None:
    for _ in range(2):
        api.retrieve("what the cache does")
    poll(lambda: _metric(api, "quarry_cache_hits") > 0 and _metric(api, "quarry_cache_bytes") > 0, "metrics", 60)
    assert _metric(api, "quarry_cache_stale") == 0


def test_an_answer_asked_again_is_told_again_and_says_so(api: Api) -> None:
    asked = _Kept(api, -1)
    made, kept = asked.answer(caching="no-store"), asked.hit()
    assert cache_status(made) == "fwd=request"
    assert made.json()["usage"]["completion_tokens"] > 0 == kept.json()["usage"]["completion_tokens"]
    assert [kept.json()[name] for name in ("answer", "citations", "tier")] == [
        made.json()[name] for name in ("answer", "citations", "tier")
    ]
    stream = asked.hit(stream=True)
    events = [line.removeprefix("event: ") for line in stream.text.splitlines() if line.startswith("event: ")]
    assert events[-1] == "answer"
    assert set(events[:-1]) == {"sentence"}
    stranger = api.answer(asked.question, "umbra", tier="fast").json()
    assert (stranger["cached"], stranger["citations"]) == (False, [])


def test_delete_wins_over_a_cached_answer(api: Api) -> None:
    asked = _Kept(api, -2)
    asked.put(asked.text.replace(asked.year, "1999"))
    poll(lambda: "1999" in asked.retrieve().text, "the update to be found", _BOUND_S)
    for _ in range(3):
        assert asked.year not in asked.answer().json()["answer"]
    api.delete(asked.doc_id, asked.tenant).raise_for_status()
    poll(lambda: not asked.retrieve().json()["hits"], "the document to be gone", _BOUND_S)
    for _ in range(3):
        answered = asked.answer().json()
        assert "1999" not in answered["answer"]
        assert asked.doc_id not in {citation["doc_id"] for citation in answered["citations"]}


def test_who_reads_a_kept_answer_is_on_record_and_counted(api: Api) -> None:
    asked = _Kept(api, -3)
    kept = asked.hit()
    assert kept.headers["RateLimit"]
    query_id = kept.json()["query_id"]

    def records() -> list[dict[str, Any]]:
        found = api.http.get("/v1/audit", params={"query_id": query_id}, headers=api.showing(asked.tenant))
        return list(found.raise_for_status().json()["records"])

    poll(lambda: bool(records()), "the record", _BOUND_S)
    facts = records()[0]["facts"]
    assert (facts["cached"], facts["usage"]["completion_tokens"]) == (True, 0)
    assert facts["cited"]
    assert set(facts["cited"]) <= set(facts["chunks"])


def test_a_response_has_one_request_id_and_it_is_the_query_id(api: Api, word: str) -> None:
    for response in (api.retrieve(word), api.answer(word)):
        assert response.headers.get_list("X-Request-Id") == [response.json()["query_id"]]


class _Kept:
    """A question whose answer by the fast tier is kept. Its tenant has one document, so that no other is in its way."""

    def __init__(self, api: Api, number: int) -> None:
        self._api = api
        self.tenant = f"keeper{-number}"
        self.question = question(number)
        self.doc_id, self.text = list(documents().items())[number]
        self.year = re.findall(r"built in (\d+)", self.text)[0]
        self.put(self.text)
        poll(lambda: self.year in self.retrieve().text, "the document to be found", _BOUND_S)
        self.hit()

    def answer(self, **more: Any) -> httpx.Response:
        return self._api.answer(self.question, self.tenant, tier="fast", **more)

    def put(self, text: str) -> None:
        self._api.put(self.doc_id, text, self.tenant, title=self.doc_id).raise_for_status()

    def retrieve(self) -> httpx.Response:
        return self._api.retrieve(self.question, self.tenant)

    def hit(self, **more: Any) -> httpx.Response:
        """The first answer that comes from the cache: other documents still change what the question finds."""
        answers: list[httpx.Response] = []

        def asked_again() -> bool:
            answers.append(self.answer(**more))
            return is_hit(answers[-1])

        poll(asked_again, "an answer from the cache", _BOUND_S)
        return answers[-1]


def cache_status(response: httpx.Response) -> str:
    response.raise_for_status()
    return response.headers["Cache-Status"].removeprefix("quarry; ")


def is_hit(response: httpx.Response) -> bool:
    return cache_status(response) == "hit"


def _metals(response: httpx.Response) -> set[str]:
    texts = " ".join(hit["text"] for hit in response.raise_for_status().json()["hits"] if hit["doc_id"] == "valve")
    return {metal for metal in ("bronze", "nickel") if metal in texts}


def _shows(api: Api, query: str, metals: set[str]) -> bool:
    return _metals(api.retrieve(query)) == metals


def _metric(api: Api, name: str) -> float:
    lines = [line for line in api.http.get("/metrics").text.splitlines() if line.startswith(f"ray_{name}")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
