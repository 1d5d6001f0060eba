"""Both drivers say the same about the same hits, and errors say what to do."""

import json
from types import SimpleNamespace

import httpx
import pytest

from evaluation.drivers.http import HttpDriver
from evaluation.drivers.in_process import InProcessDriver
from evaluation.drivers.protocol import Retrieved
from include.quarry.errors import InvalidInput, NotFound, QuarryError, Unavailable
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope

EXPECTED = Retrieved((("d1", 0.5), ("d2", 0.25)), "v3", 12)
ANSWER = {
    "hits": [{"doc_id": "d1", "score": 0.5, "chunk_id": "x"}, {"doc_id": "d2", "score": 0.25}],
    "index_version": "v3",
    "watermark": 12,
    "timings_ms": {},
}


def over_http(handler) -> HttpDriver:
    transport = httpx.MockTransport(handler)
    return HttpDriver("http://quarry.test", corpus="c", token="t", connections=2, transport=transport)


async def test_http_asks_as_documented_and_reads_the_answer() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=ANSWER)

    driver = over_http(answer)
    assert await driver.retrieve("what?", top_k=20) == EXPECTED
    await driver.close()
    (request,) = requests
    assert (request.method, request.url.path, request.headers["Authorization"]) == ("POST", "/v1/retrieve", "Bearer t")
    assert request.headers["Cache-Control"] == "no-store"  # else a suite asked twice would measure the cache
    assert json.loads(request.content) == {"query": "what?", "top_k": 20, "corpus": "c", "filters": {}}


async def test_http_asks_the_version_that_is_named() -> None:
    bodies: list[dict] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=ANSWER)

    transport = httpx.MockTransport(answer)
    driver = HttpDriver(
        "http://quarry.test", corpus="c", token="t", connections=1, index_version="v3", transport=transport
    )
    await driver.retrieve("what?", top_k=20)
    assert bodies[0]["index_version"] == "v3"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFound), (422, InvalidInput), (429, Unavailable), (503, Unavailable), (500, Unavailable)],
)
async def test_a_refusal_carries_the_problem_body(status: int, error: type[QuarryError]) -> None:
    driver = over_http(lambda _request: httpx.Response(status, json={"title": "why it was refused"}))
    with pytest.raises(error, match=f"{status}.*why it was refused"):
        await driver.retrieve("what?", top_k=20)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"hits": []}', b'{"hits": [{}], "index_version": "v", "watermark": 1}']
)
async def test_an_answer_of_another_service_is_recognised(body: bytes) -> None:
    driver = over_http(lambda _request: httpx.Response(200, content=body))
    with pytest.raises(InvalidInput, match="--url"):
        await driver.retrieve("what?", top_k=20)


async def test_silence_names_the_address_and_the_remedy() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable, match=r"quarry\.test.*make up"):
        await over_http(refuse).retrieve("what?", top_k=20)


async def test_in_process_asks_for_one_tenant_and_reads_the_same() -> None:
    asked: list[tuple[str, int, Scope]] = []

    class Retriever:
        async def retrieve(self, query: str, *, top_k: int, scope: Scope) -> SimpleNamespace:
            asked.append((query, top_k, scope))
            return SimpleNamespace(hits=[hit("d1", 0.5), hit("d2", 0.25)], watermark=12)

    driver = InProcessDriver(Retriever(), tenant="t", index_version="v3")
    assert await driver.retrieve("what?", top_k=20) == EXPECTED
    assert asked == [("what?", 20, Scope("t"))]


def hit(doc_id: str, score: float) -> Hit:
    passage = Passage("text", "", 0, 4, 1)
    return Hit(Chunk(f"c-{doc_id}", DocumentKey("c", "t", doc_id), 1, 0, "", "", passage, {}), score, {})
