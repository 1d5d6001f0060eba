"""Who comes in: a token decides about tenant and rights, and a deadline about what is still worth computing."""

import asyncio
import pickle
import re
import time

import pytest

from include.quarry.errors import DeadlinePassed
from include.quarry.gateway.deadline import Deadline, until
from tests.door import showing
from tests.unit.gateway.test_http import Platform, assert_problem, client_of

BODIES = {
    ("POST", "/v1/retrieve"): ({"query": "x"}, "retrieve"),
    ("POST", "/v1/answer"): ({"question": "x"}, "answer"),
    ("PUT", "/v1/documents/a"): ({"text": "x"}, "write"),
    ("DELETE", "/v1/documents/a"): (None, "write"),
    ("GET", "/v1/documents/a"): (None, "retrieve"),
    ("GET", "/v1/status"): (None, "retrieve"),
}


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_route_asks_for_a_token_and_for_its_own_scope(method: str, path: str) -> None:
    platform = Platform()
    client = client_of(platform)
    body, scope = BODIES[method, path]
    del client.headers["Authorization"]
    response = await client.request(method, path, json=body)
    assert_problem(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="quarry"'
    others = {"retrieve", "answer", "write", "feedback", "admin"} - {scope}
    response = await client.request(method, path, json=body, headers=showing("red", *sorted(others)))
    assert_problem(response, 403)
    assert f'scope="{scope}"' in response.headers["www-authenticate"]
    assert platform.asked == []
    assert platform.documents == {}
    response = await client.request(method, path, json=body, headers=showing("red", scope))
    assert response.status_code in (200, 202, 404)


async def test_a_stranger_is_sent_away_before_the_body_is_read() -> None:
    client = client_of(Platform())

    async def endless():
        yield b"{"
        raise AssertionError("the body was read")

    assert_problem(await client.post("/v1/retrieve", content=endless(), headers={"Authorization": "Bearer x"}), 401)


async def test_a_named_version_is_for_administrators() -> None:
    client, body = client_of(Platform()), {"query": "x", "index_version": "v1"}
    assert_problem(await client.post("/v1/retrieve", json=body, headers=showing("red", "retrieve")), 403)
    response = await client.post("/v1/retrieve", json=body, headers=showing("red", "retrieve", "admin"))
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs"])
async def test_health_and_the_contract_need_no_token(path: str) -> None:
    client = client_of(Platform())
    del client.headers["Authorization"]
    assert (await client.get(path)).status_code == 200


async def test_a_request_has_a_number_and_stays_in_its_trace() -> None:
    client, trace = client_of(Platform()), "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    response = await client.post("/v1/retrieve", json={"query": "x"}, headers=sent)
    assert re.fullmatch("[0-9a-f]{32}", response.json()["query_id"])
    assert response.headers["x-request-id"] == response.json()["query_id"]
    assert re.fullmatch(f"00-{trace}-(?!00f067aa0ba902b7)[0-9a-f]{{16}}-01", response.headers["traceparent"])


async def test_what_comes_too_late_is_not_computed() -> None:
    platform = Platform()
    client, late = client_of(platform, max_wait_s=0.0), {"query": "x"}
    assert_problem(await client.post("/v1/retrieve", json=late), 504)
    assert platform.asked == []


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9" * 20, "\u0661"])
async def test_a_time_that_is_none_is_refused(value: str) -> None:
    headers = {"X-Request-Timeout-Ms": value.encode()}
    assert_problem(await client_of(Platform()).post("/v1/retrieve", json={"query": "x"}, headers=headers), 422)


async def test_work_is_cancelled_when_the_deadline_passes() -> None:
    cancelled = asyncio.Event()

    async def slow():
        try:
            yield 1
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    seen = []
    with pytest.raises(DeadlinePassed, match="X-Request-Timeout-Ms"):
        async for item in until(Deadline(0.05), slow()):
            seen.append(item)
    assert seen == [1]
    assert cancelled.is_set()


async def test_a_deadline_travels_as_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.dumps(Deadline(5.0))
    moment = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: moment + 1_000_000)  # the clock of another machine
    assert 4.0 < pickle.loads(sent).remaining_s() <= 5.0


async def test_a_timeout_of_the_work_itself_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(60).holds():
            raise TimeoutError
