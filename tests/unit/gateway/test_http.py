"""The HTTP contract: what is accepted, what is refused and how, on the real application over fake ports."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.cache.directive import Caching
from include.quarry.catalog.log import Accepted
from include.quarry.errors import Full, NotFound, Unavailable, UnreadableContent
from include.quarry.gateway import heartbeat
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.document_routes import document_routes
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.schema import Answered, Ask, Said
from include.quarry.gateway.status_routes import status_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, VerifiedSentence
from include.quarry.generation.protocol import Origin, Usage, Wish
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, RawDocument, Scope
from include.quarry.retrieval.retriever import Retrieval
from tests.door import open_test_door, showing, visit

MAX_BYTES = 10_000
CHUNK = Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage("Some text.", "A", 5, 15, 2), {})
TIMES = {"relevance": 0.5, "queue": 1.0, "total": 2.0}
CITATION = Citation(1, "c1", "a", "file:///a", 5, 15)


class Platform:
    """Fake ports that remember what they were asked."""

    def __init__(self) -> None:
        self.documents: dict[DocumentKey, RawDocument] = {}
        self.asked: list[tuple[str, str, int, Scope]] = []
        self.fails: Exception | None = None
        self.missing: tuple[int, ...] = ()
        self.caching: list[Caching] = []
        self.min_seqs: list[int] = []
        self.ended: list[str] = []
        self.wishes: list[tuple[Wish, str]] = []

    async def put(self, raw: RawDocument) -> Accepted:
        if raw.content == b"unreadable":
            raise UnreadableContent("it cannot be read")
        self.documents[raw.key] = raw
        return Accepted(len(self.documents), 1, changed=True)

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        return None

    async def delete(self, key: DocumentKey) -> Accepted | None:
        return Accepted(9, 2, changed=True) if self.documents.pop(key, None) else None

    async def retrieve(
        self,
        corpus: str,
        query: str,
        top_k: int,
        scope: Scope,
        visit: Visit,
        *,
        index_version: str | None = None,
        min_seq: int = 0,
    ) -> Retrieval:
        if self.fails:
            raise self.fails
        self.asked.append((corpus, query, top_k, scope))
        self.caching.append(visit.caching)
        self.min_seqs.append(min_seq)
        cache = "hit" if visit.caching == "use" else ""
        return Retrieval([Hit(CHUNK, 0.5, {"dense": 1})], "v1", 7, {"total": 1.0}, self.missing, cache)

    def answer(self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit) -> AsyncGenerator[AnswerEvent]:
        self.wishes.append((wish, visit.caller.priority))
        if question == "too many":
            raise Full("all answers that may be are in the making; try again shortly", retry_after_s=7)
        return self._answer(question, hits)

    async def _answer(self, question: str, hits: Sequence[Hit]) -> AsyncGenerator[AnswerEvent]:
        try:
            if question == "slow":
                await asyncio.sleep(0.1)
            yield VerifiedSentence("Some text [1].", (CITATION,))
            if question == "fail late":
                raise Unavailable("the model is gone")
            if question == "too busy":
                yield Answer("Only these.", (), False, "none", Usage(), {"total": 2.0}, passages=tuple(hits))
            else:
                answer = Answer("Some text [1].", (CITATION,), True, "fast", Usage(3, 4, 0.5), TIMES, "asked for", 0.25)
                yield replace(answer, origin=Origin("brief", "small", "0123456789ab"))
        finally:
            self.ended.append(question)

    async def status(self, corpus: str, tenant: str) -> dict[str, Any]:
        raise NotFound(corpus)

    async def metrics(self) -> str:
        return "up 1"

    async def ready(self) -> None:
        if self.fails:
            raise self.fails


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def client(platform: Platform) -> httpx.AsyncClient:
    return client_of(platform)


def client_of(platform: Platform, **door_options: Any) -> httpx.AsyncClient:
    door = open_test_door(**door_options)
    routers = (
        document_routes(platform, door),
        retrieval_routes(platform.retrieve, door),
        answer_routes(Asking(platform.retrieve, platform.answer), door),
        status_routes(platform.status, platform.ready, platform.metrics, door),
    )
    app = build_http_app(routers, door, max_document_bytes=MAX_BYTES)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing())


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["detail"]
    return body


async def test_an_answer_says_which_shards_are_missing_from_it(client: httpx.AsyncClient, platform: Platform) -> None:
    body = (await client.post("/v1/retrieve", json={"query": "x"})).json()
    assert (body["partial"], body["shards_missing"]) == (False, [])
    platform.missing = (1, 3)
    body = (await client.post("/v1/retrieve", json={"query": "x"})).json()
    assert (body["partial"], body["shards_missing"]) == (True, [1, 3])


async def test_the_tenant_of_the_token_is_the_tenant_of_the_query(
    client: httpx.AsyncClient, platform: Platform
) -> None:
    body = {"query": " what? ", "top_k": 3, "filters": {"uri": "file:///a"}}
    response = await client.post("/v1/retrieve", json=body, headers=showing("red"))
    assert response.status_code == 200
    assert platform.asked == [("main", "what?", 3, Scope("red", {"uri": "file:///a"}))]
    (hit,) = response.json()["hits"]
    assert (hit["doc_id"], hit["text"], hit["start"], hit["end"]) == ("a", "Some text.", 5, 15)
    assert response.json()["watermark"] == 7


@pytest.mark.parametrize(
    ("sent", "caching"),
    [
        (None, "use"),
        ("max-age=60, no-transform", "use"),
        ("no-cache", "renew"),
        ("Max-Age=0", "renew"),
        ("no-cache, no-store", "avoid"),
        ("\xff=,,", "use"),
    ],
)
async def test_a_request_says_whether_a_kept_answer_will_do_and_hears_whether_it_was_one(
    client: httpx.AsyncClient, platform: Platform, sent: str | None, caching: Caching
) -> None:
    headers = {} if sent is None else {"Cache-Control": sent.encode("latin-1")}
    response = await client.post("/v1/retrieve", json={"query": "x"}, headers=headers)
    assert platform.caching == [caching]
    assert response.headers.get("Cache-Status") == ("quarry; hit" if caching == "use" else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"query": ""}',
        b'{"query": "   "}',
        b'{"query": null}',
        b'{"query": "x", "top_k": 0}',
        b'{"query": "x", "top_k": 1000000000}',
        b'{"query": "x", "top_k": "many"}',
        b'{"query": "x", "unknown": 1}',
        b'{"query": "x", "filters": {"a": 1}}',
        b'{"query": "x", "corpus": "../etc"}',
        b'{"query": "\\ud800"}',
        b'{"query": "a\\u0000b"}',
        b"\xff\xfe",
    ],
)
async def test_bad_queries_are_refused_with_a_reason(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/v1/retrieve", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, 422)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "content": "YQ==", "content_type": "text/plain"},
        {"content": "YQ=="},
        {"content": "not base64!", "content_type": "text/plain"},
        {"text": "a", "metadata": {"a": {"b": "c"}}},
        {"text": "a", "title": "line\nbreak"},
        {"text": "a", "surprise": True},
        {"text": 5},
        {"content": "é", "content_type": "text/plain"},
    ],
)
async def test_bad_documents_are_refused_with_a_reason(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert_problem(await client.put("/v1/documents/a", json=body), 422)


async def test_a_document_is_accepted_with_its_seq(client: httpx.AsyncClient, platform: Platform) -> None:
    content = base64.b64encode(b"bytes").decode()
    body = {"content": content, "content_type": "text/html", "title": "T", "metadata": {"team": "x"}}
    response = await client.put("/v1/documents/deep/a.html", json=body, headers=showing("red"))
    assert response.status_code == 202
    assert response.json() == {"seq": 1, "doc_version": 1, "changed": True}
    raw = platform.documents[DocumentKey("main", "red", "deep/a.html")]
    assert (raw.content, raw.content_type, raw.title, raw.metadata) == (b"bytes", "text/html", "T", {"team": "x"})


async def test_another_tenant_cannot_delete_the_document(client: httpx.AsyncClient) -> None:
    await client.put("/v1/documents/a", json={"text": "x"}, headers=showing("red"))
    assert_problem(await client.delete("/v1/documents/a", headers=showing("blue")), 404)
    assert (await client.delete("/v1/documents/a", headers=showing("red"))).status_code == 202


@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "a%00b", "a%2f%2fb", "%2e%2e", "a%0ab", "x" * 600])
async def test_doc_ids_that_traverse_are_refused(client: httpx.AsyncClient, platform: Platform, path: str) -> None:
    response = await client.put(f"/v1/documents/{path}", json={"text": "x"})
    assert response.status_code in (404, 405, 422)  # clients resolve some of these, and then miss the route
    assert_problem(response, response.status_code)
    assert platform.documents == {}


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, declared: bool) -> None:
    body = json.dumps({"text": "a" * 200_000}).encode()

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    assert_problem(await client.put("/v1/documents/a", content=body if declared else stream()), 413)


async def test_an_unreadable_document_says_why(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await client.put("/v1/documents/a", json={"text": "unreadable"}), 422)
    assert problem["title"] == "Unreadable content"


async def test_a_part_that_is_not_ready_says_when_to_come_back(client: httpx.AsyncClient, platform: Platform) -> None:
    platform.fails = Unavailable("warming up", retry_after_s=7)
    response = await client.post("/v1/retrieve", json={"query": "x"})
    assert_problem(response, 503)
    assert response.headers["retry-after"] == "7"
    assert_problem(await client.get("/readyz"), 503)
    assert (await client.get("/healthz")).status_code == 200


async def test_an_unexpected_error_shows_nothing_of_the_inside(client: httpx.AsyncClient, platform: Platform) -> None:
    platform.fails = ZeroDivisionError("secret detail")
    problem = assert_problem(await client.post("/v1/retrieve", json={"query": "x"}), 500)
    assert "secret" not in json.dumps(problem)


async def test_an_answer_carries_its_citations(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/answer", json={"question": "what?"})).json()
    assert body["answer"] == "Some text [1]."
    assert body["citations"] == [
        {
            "marker": 1,
            "chunk_id": "c1",
            "doc_id": "a",
            "title": "A",
            "uri": "file:///a",
            "text": "Some text.",
            "start": 5,
            "end": 15,
        }
    ]
    assert (body["grounded"], body["tier"], body["index_version"]) == (True, "fast", "v1")
    assert body["query_id"]


async def test_an_answer_says_which_tier_gave_it_and_what_it_cost(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/answer", json={"question": "what?"})).json()
    assert (body["tier"], body["tier_reason"], body["cost"]) == ("fast", "asked for", 0.25)
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "engine_s": 0.5}
    assert body["release"] == {"release_id": "brief", "model": "small", "prompt_version": "0123456789ab"}
    assert body["timings_ms"].keys() == {"retrieve", "queue", "generate", "total"}
    assert body["passages"] == []


async def test_passages_are_listed_where_nobody_could_answer(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/answer", json={"question": "too busy"})).json()
    assert (body["grounded"], body["tier"], body["citations"]) == (False, "none", [])
    assert [passage["text"] for passage in body["passages"]] == ["Some text."]


async def test_the_tier_is_left_to_us_where_none_is_asked_for(client: httpx.AsyncClient, platform: Platform) -> None:
    await client.post("/v1/answer", json={"question": "what?"})
    await client.post("/v1/answer", json={"question": "what?", "tier": "deep", "max_tokens": 30, "priority": "batch"})
    assert platform.wishes == [(Wish("auto"), "normal"), (Wish("deep", 30), "batch")]


@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_can_raise_the_own_priority(client: httpx.AsyncClient, platform: Platform, stream: bool) -> None:
    body = {"question": "what?", "priority": "urgent", "stream": stream}
    problem = assert_problem(await client.post("/v1/answer", json=body), 403)
    assert "normal" in problem["detail"]
    assert platform.wishes == []


@pytest.mark.parametrize("stream", [False, True])
async def test_too_many_answers_at_once_are_refused_before_a_stream_begins(
    client: httpx.AsyncClient, stream: bool
) -> None:
    response = await client.post("/v1/answer", json={"question": "too many", "stream": stream})
    assert_problem(response, 503)
    assert response.headers["retry-after"] == "7"


async def test_a_slow_reader_gets_the_answer_that_was_made_in_time(platform: Platform) -> None:
    """The deadline is for making the answer, not for reading it."""
    hurried = replace(visit("red"), deadline=Deadline(3.0))
    asked = (await Asking(platform.retrieve, platform.answer).ask(Ask(question="what?"), hurried)).events
    assert isinstance(await anext(asked), Said)
    assert platform.ended == ["what?"]
    await asyncio.sleep(hurried.deadline.remaining_s())
    assert hurried.deadline.passed
    assert isinstance(await anext(asked), Answered)


async def test_a_streamed_answer_sends_sentences_then_the_answer(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/answer", json={"question": "what?", "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [line for line in response.text.splitlines() if line.startswith("event")] == [
        "event: sentence",
        "event: answer",
    ]


async def test_a_stream_shows_signs_of_life_while_nothing_is_said(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    response = await client.post("/v1/answer", json={"question": "slow", "stream": True})
    events = response.text.split("\n\n")
    assert events[0] == ": waiting"
    assert [event.split("\n")[0] for event in events if event.startswith("event")] == [
        "event: sentence",
        "event: answer",
    ]


async def test_a_reader_that_leaves_ends_the_generation(platform: Platform) -> None:
    asked = (await Asking(platform.retrieve, platform.answer).ask(Ask(question="what?"), visit("red"))).events
    assert isinstance(await anext(asked), Said)
    await asked.aclose()
    assert platform.ended == ["what?"]


async def test_a_stream_that_fails_ends_in_a_problem_event(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/answer", json={"question": "fail late", "stream": True})
    last = response.text.strip().split("\n\n")[-1]
    assert last.startswith("event: problem")
    assert "the model is gone" in last


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/v1/retrieve", 405)])
async def test_wrong_paths_and_methods_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert_problem(await client.request(method, path), status)


async def test_the_whole_contract_is_in_the_openapi_document(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert paths.keys() >= {"/v1/documents/{doc_id}", "/v1/retrieve", "/v1/answer", "/v1/status", "/healthz", "/readyz"}


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200), path=st.sampled_from(["/v1/retrieve", "/v1/answer"]))
async def test_no_bytes_whatever_cause_a_server_error(body: bytes, path: str) -> None:
    async with client_of(Platform()) as client:
        response = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code < 500


@pytest.mark.parametrize(("path", "asked"), [("/v1/retrieve", "query"), ("/v1/answer", "question")])
async def test_who_knows_a_change_names_it_and_garbage_is_refused_with_a_remedy(
    platform: Platform, client: httpx.AsyncClient, path: str, asked: str
) -> None:
    assert (await client.post(path, json={asked: "x", "min_seq": 7})).is_success
    assert (await client.post(path, json={asked: "x"})).is_success
    assert platform.min_seqs == [7, 0]
    for wrong in (-1, 1.5, "7", True, None, [7]):
        refused = await client.post(path, json={asked: "x", "min_seq": wrong})
        assert refused.status_code == 422
        assert "send the seq that PUT or DELETE returned" in refused.json()["detail"]
    schema = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert schema["Retrieve" if asked == "query" else "Ask"]["properties"]["min_seq"]["minimum"] == 0
