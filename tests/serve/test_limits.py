"""Limits over HTTP: both front doors count together, quotas hold, and Redis may die and come back meanwhile."""

import re
import signal
from typing import Any

import httpx
import pytest

from tests.serve.conftest import Api, poll
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.serve
_BOUND_S = 60.0


@pytest.fixture
def server(redis: RedisServer | None) -> RedisServer:
    if redis is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    return redis


def remaining(answer: httpx.Response) -> tuple[int, int]:
    """What is left of the requests, and the seconds until their window ends."""
    found = re.match(r'"requests";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found
    return int(found[1]), int(found[2])


def test_both_front_doors_count_a_tenants_requests_together(api: Api, server: RedisServer) -> None:
    """/v1/retrieve is answered by one deployment, /v1/status by another."""
    admitted, ends_s = {"retrieve": 0, "status": 0}, 0
    for number in range(200):
        door = "status" if number % 2 else "retrieve"
        if door == "retrieve":
            answer = api.retrieve("anything", "hasty")
        else:
            answer = api.http.get("/v1/status", headers=api.showing("hasty"))
        _, reset_s = remaining(answer)
        if reset_s > ends_s:  # another window has begun on the way
            admitted = {"retrieve": 0, "status": 0}
        ends_s = reset_s
        if answer.status_code == 429:
            break
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"requests";q=20;w=20'
        admitted[door] += 1
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) == ends_s
    assert sum(admitted.values()) == 20
    assert min(admitted.values()) >= 9


def test_answers_end_with_the_tokens_and_retrieval_goes_on(api: Api, word: str) -> None:
    api.put("talk", f"The {word} gate is painted green.", "talkative")
    poll(lambda: "talk" in api.found(word, "talkative"), "the document to be found", _BOUND_S)
    question, shown = {"question": f"What colour is the {word} gate painted?"}, api.showing("talkative")
    first = api.http.post("/v1/answer", json=question, headers=shown)
    assert first.status_code == 200
    assert '"tokens";q=1;w=86400' in first.headers["ratelimit-policy"]
    usage = first.json()["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] > 1

    def refused() -> bool:
        return api.http.post("/v1/answer", json=question, headers=shown).status_code == 429

    waited_s = poll(refused, "the tokens to be charged", _BOUND_S)
    print(f"charged after {waited_s:.1f} s")
    answer = api.http.post("/v1/answer", json=question, headers=shown)
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    assert api.retrieve(word, "talkative").status_code == 200

    def usage_told() -> dict[str, Any]:
        return dict(api.http.get("/v1/usage", headers=shown).raise_for_status().json())

    poll(lambda: usage_told()["days"][0]["requests"] >= 3, "the requests to be counted", _BOUND_S)
    used = usage_told()
    today = used["days"][0]
    assert used["limits"]["tokens_per_day"] == 1
    assert used["documents_held"] == today["documents"] == 1
    assert today["tokens"] >= usage["prompt_tokens"] + usage["completion_tokens"]
    assert today["answers"] >= 1


def test_documents_end_with_the_quota_and_a_delete_makes_room(api: Api) -> None:
    assert [api.put(f"d{number}", "text", "hoarder").status_code for number in range(3)] == [202, 202, 403]
    assert api.put("d1", "another text", "hoarder").status_code == 202
    assert api.delete("d0", "hoarder").status_code == 202
    assert api.put("d3", "text", "hoarder").status_code == 202
    assert api.put("d4", "text", "hoarder").json()["title"] == "Quota reached"


def test_requests_are_answered_while_redis_is_dead_and_the_metrics_say_so(api: Api, server: RedisServer) -> None:
    def down() -> set[float]:
        text = api.http.get("/metrics").text
        return {float(value) for value in re.findall(r"(?m)^\w*quarry_limits_redis_down(?:{.*})? ([\d.e+]+)$", text)}

    assert api.retrieve("anything").status_code == 200
    server.send(signal.SIGKILL)
    try:

        def said() -> bool:
            assert api.retrieve("anything").status_code == 200
            assert api.http.get("/v1/status").status_code == 200
            return 1.0 in down()

        print(f"said after {poll(said, 'the metrics to say that Redis is down', _BOUND_S):.1f} s")
    finally:
        server.start()

    def over() -> bool:
        assert api.retrieve("anything").status_code == 200
        assert api.http.get("/v1/status").status_code == 200
        return down() == {0.0}

    print(f"over after {poll(over, 'the metrics to say that Redis is back', _BOUND_S):.1f} s")
