"""Whatever leaves through the door is on record before it leaves: answers, streams, refusals, changes, and failures."""

import asyncio
import errno
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from include.quarry.audit import journal as journal_module
from include.quarry.audit.entry import Entry
from include.quarry.audit.journal import Journal
from include.quarry.audit.ledger import Ledger
from include.quarry.audit.segments import Position, Segments
from include.quarry.audit.shipping import Shipper
from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted
from include.quarry.errors import Unavailable
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.chat_routes import chat_routes
from include.quarry.gateway.document_routes import document_routes
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.status_routes import status_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, Spent, VerifiedSentence
from include.quarry.generation.protocol import Origin, Usage, Wish
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, RawDocument, Scope
from include.quarry.retrieval.retriever import Retrieval
from tests.door import open_test_door, showing

SECRET_TEXT = "the text of a passage"
QUERY = {"query": "a private question"}
QUESTION = {"question": "a private question"}
_CHAT = {"model": "quarry-fast", "messages": [{"role": "user", "content": "x"}], "stream": True}
_STREAMS = {
    "/v1/answer": b'{"question": "x", "stream": true}',
    "/v1/chat/completions": json.dumps(_CHAT).encode(),
}
_CHUNKS = [
    Chunk(name, DocumentKey("main", "red", doc), 1, 0, "", "", Passage(SECRET_TEXT, "", 0, 21, 4), {})
    for name, doc in (("c1", "a"), ("c2", "b"), ("c3", "a"))
]
_CITED = Citation(1, "c1", "a", "", 0, 21)


class Platform:
    """Fake ports behind the door."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def put(self, raw: RawDocument) -> Accepted:
        return Accepted(41, 3, changed=True)

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        return None

    async def delete(self, key: DocumentKey) -> Accepted | None:
        return Accepted(42, 4, changed=True) if key.tenant == "red" else None

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
        return Retrieval([Hit(chunk, 0.5, {"dense": 1}) for chunk in _CHUNKS], "v1", 7, {"total": 1.0})

    async def answer(self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit) -> AsyncGenerator[AnswerEvent]:
        yield VerifiedSentence("Some text [1].", (_CITED,))
        yield Spent({"deep": Usage(3, 0, 0.2), "fast": Usage(3, 2, 0.25)}, 0.125)
        await self.goes_on.wait()
        if "fail" in question:
            raise Unavailable("the model is gone")
        answer = Answer("Some text [1].", (_CITED,), True, "fast", Usage(3, 4, 0.5), {"total": 2.0}, "asked for", 0.25)
        yield replace(answer, origin=Origin("brief", "small", "0123456789ab"))

    async def status(self, corpus: str, tenant: str) -> dict[str, Any]:
        return dict.fromkeys(("head", "documents", "chunks", "lag_changes", "lag_seconds", "quarantined"), 0) | {
            "corpus": corpus,
            "live_version": None,
            "canary_version": None,
            "watermark": None,
            "quarantine": [],
            "versions": [],
        }

    async def nothing(self) -> Any: ...


class Front:
    """The application with its ledger."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.journal = Journal(folder, "gateway")
        shipper = Shipper(self.journal.origin, Database("sqlite://"), [])
        self.ledger = Ledger(self.journal, shipper, **how)
        self.platform = platform = Platform()
        door = open_test_door(ledger=self.ledger)
        routers = (
            document_routes(platform, door),
            retrieval_routes(platform.retrieve, door),
            answer_routes(asking := Asking(platform.retrieve, platform.answer), door),
            chat_routes(asking, door),
            status_routes(platform.status, platform.nothing, platform.nothing, door),
        )
        self.app: ASGIApp = build_http_app(routers, door, max_document_bytes=10_000)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red"))

    @property
    def entries(self) -> list[Entry]:
        return Segments(self.journal.folder, self.journal.writer).read(Position())[0]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [dict(entry.fields) for entry in self.entries]


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path / "audit")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)


async def test_a_retrieval_leaves_who_what_and_from_where_but_no_content(front: Front) -> None:
    response = await front.client.post("/v1/retrieve", json=QUERY)
    (record,) = front.records
    assert record["query_id"] == response.json()["query_id"]
    assert (record["tenant"], record["subject"], record["action"]) == ("red", "tester", "POST /v1/retrieve")
    assert (record["status"], record["corpus"], record["index_version"], record["watermark"]) == (200, "main", "v1", 7)
    assert (record["chunks"], record["documents"]) == (["c1", "c2", "c3"], ["a", "b"])
    (entry,) = front.entries
    assert "private" not in entry.body
    assert SECRET_TEXT not in entry.body
    assert entry.content == {
        "kind": "retrieve",
        "query": "a private question",
        "hits": [["c1", "a", 0.5, {"dense": 1}], ["c2", "b", 0.5, {"dense": 1}], ["c3", "a", 0.5, {"dense": 1}]],
    }


async def test_an_answer_leaves_its_tier_its_usage_and_what_it_cites(front: Front) -> None:
    response = await front.client.post("/v1/answer", json=QUESTION)
    (entry,) = front.entries
    record = entry.fields
    assert record["query_id"] == response.json()["query_id"]
    assert (record["tier"], record["grounded"], record["cited"]) == ("fast", True, ["c1"])
    assert record["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "engine_s": 0.5}
    assert record["cost"] == 0.25
    assert record["release"] == {"release_id": "brief", "model": "small", "prompt_version": "0123456789ab"}
    assert record["chunks"] == ["c1", "c2", "c3"]
    assert entry.content["answer"]["text"] == "Some text [1]."


async def test_a_stream_is_on_record_when_it_begins_and_when_it_ends(front: Front) -> None:
    await front.client.post("/v1/answer", json=QUESTION | {"stream": True})
    begun, done = front.entries
    assert (begun.fields["outcome"], done.fields["outcome"]) == ("begun", "done")
    assert begun.fields["query_id"] == done.fields["query_id"]
    assert begun.fields["chunks"] == ["c1", "c2", "c3"]
    assert begun.content is None
    assert done.fields["tier"] == "fast"
    assert done.content["answer"]["text"] == "Some text [1]."


async def test_a_stream_that_breaks_says_so(front: Front) -> None:
    await front.client.post("/v1/answer", json={"question": "fail", "stream": True})
    assert [record["outcome"] for record in front.records] == ["begun", "failed: Temporarily unavailable"]


@pytest.mark.parametrize("path", _STREAMS)
async def test_a_caller_who_leaves_a_stream_is_on_record_with_what_was_used_until_then(front: Front, path: str) -> None:
    """Once as servers do that cancel the request, once as those that say so."""
    for leave in (_cancelled, _disconnected):
        front.platform.goes_on.clear()
        await leave(front.app, path, after=b"Some text")
    records = front.records
    assert [record["outcome"] for record in records] == ["begun", "left", "begun", "left"]
    for record in records[1::2]:
        assert (record["action"], record["tier"], record["unfinished"]) == (f"POST {path}", "fast", True)
        assert record["usage"] == {"prompt_tokens": 6, "completion_tokens": 2, "engine_s": 0.45}
        assert record["spent"]["deep"] == {"prompt_tokens": 3, "completion_tokens": 0, "engine_s": 0.2}
        assert record["cost"] == 0.125
        assert record["chunks"] == ["c1", "c2", "c3"]
    assert all("usage" not in record for record in records[::2])


@pytest.mark.parametrize("path", _STREAMS)
async def test_a_caller_who_leaves_at_the_very_end_pays_for_the_answer_once(front: Front, path: str) -> None:
    """It was there, and nobody had read it yet."""
    for leave in (_cancelled, _disconnected):
        await leave(front.app, path, after=b"Some text")
    records = front.records
    assert [record["outcome"] for record in records] == ["begun", "left", "begun", "left"]
    for record in records[1::2]:
        assert record["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "engine_s": 0.5}
        assert (record["grounded"], record.get("unfinished")) == (True, None)
    await front.client.post(path, content=_STREAMS[path], headers={"Content-Type": "application/json"})
    assert [record["outcome"] for record in front.records[4:]] == ["begun", "done"]
    assert ["usage" in record for record in front.records[4:]] == [False, True]


@pytest.mark.parametrize("leaves", ["cancelled", "says so"])
async def test_a_caller_who_leaves_before_the_answer_is_on_record_and_pays(front: Front, leaves: str) -> None:
    front.platform.goes_on.clear()
    leave = _cancelled if leaves == "cancelled" else _disconnected
    await leave(front.app, "/v1/answer", b'{"question": "x"}', after=b"")
    (record,) = front.records
    assert (record["status"], record["outcome"], record["chunks"]) == (499, "left", ["c1", "c2", "c3"])
    assert record["usage"]["completion_tokens"] == 2


async def test_an_answer_whose_time_is_over_is_paid_up_to_then(front: Front) -> None:
    front.platform.goes_on.clear()
    response = await front.client.post("/v1/answer", json=QUESTION, headers={"X-Request-Timeout-Ms": "3000"})
    (record,) = front.records
    assert (response.status_code, record["status"], record["usage"]["completion_tokens"]) == (504, 504, 2)


async def _cancelled(app: ASGIApp, path: str, body: bytes = b"", *, after: bytes) -> None:
    await _leave(app, path, body, after, says_so=False)


async def _disconnected(app: ASGIApp, path: str, body: bytes = b"", *, after: bytes) -> None:
    await _leave(app, path, body, after, says_so=True)


async def _leave(app: ASGIApp, path: str, body: bytes, after: bytes, *, says_so: bool) -> None:
    """Ask, and leave while the text `after` is being sent; with none, when there is nothing left to be done."""
    body = body or _STREAMS[path]
    reached, left = asyncio.Event(), asyncio.Event()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if after and after in message.get("body", b""):
            reached.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(app(_scope(body, path), receive, send))
    if after:
        await reached.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    if says_so:
        left.set()
        await running
    else:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def _scope(body: bytes, path: str = "/v1/answer") -> dict[str, Any]:
    headers = {**showing("red"), "Content-Type": "application/json", "Content-Length": str(len(body))}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("quarry", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


async def test_the_record_is_there_before_the_first_byte_leaves(front: Front) -> None:
    seen: list[tuple[str, int]] = []

    async def send(message: Message) -> None:
        seen.append((message["type"], len(front.records)))

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"question": "x"}', "more_body": False}

    await front.app(_scope(b'{"question": "x"}'), receive, send)
    assert seen[0] == ("http.response.start", 1)


@pytest.mark.parametrize(
    ("ask", "status", "action"),
    [
        (lambda c: c.post("/v1/retrieve", json=QUERY, headers=showing("red", "write")), 403, "POST /v1/retrieve"),
        (lambda c: c.post("/v1/retrieve", json={"query": ""}), 422, "POST /v1/retrieve"),
        (lambda c: c.get("/v1/documents/deep/a.html"), 404, "GET /v1/documents/{doc_id}"),
        (lambda c: c.get("/v1/nowhere"), 404, "GET /v1/nowhere"),
        (lambda c: c.get("/v1/retrieve"), 405, "GET /v1/retrieve"),
    ],
)
async def test_refusals_say_who_was_refused_what(
    front: Front, ask: Callable[[httpx.AsyncClient], Any], status: int, action: str
) -> None:
    response = await ask(front.client)
    assert response.status_code == status
    (entry,) = front.entries
    record = entry.fields
    assert (record["tenant"], record["subject"], record["status"]) == ("red", "tester", status)
    assert record["action"] == action
    assert entry.content is None


@pytest.mark.parametrize("token", ["Bearer nonsense", None])
async def test_what_anybody_wrote_in_a_path_is_on_record_printable_and_bounded(front: Front, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}
    await front.client.get(f"/v1/a%00%0A%1Bé{'x' * 1000}", headers=headers)
    (record,) = front.records
    assert record["action"].startswith("GET /v1/a\ufffd\ufffd\ufffdéxxx")
    assert len(record["action"]) < 220


async def test_what_was_named_in_a_path_is_on_record(front: Front) -> None:
    await front.client.get("/v1/documents/deep/a.html", params={"corpus": "other"})
    (record,) = front.records
    assert (record["named"], record["corpus"]) == ({"doc_id": "deep/a.html"}, "other")


async def test_changes_of_documents_say_who_made_them(front: Front) -> None:
    await front.client.put("/v1/documents/a", json={"text": "x"})
    await front.client.delete("/v1/documents/a")
    put, deleted = front.records
    assert (put["action"], put["named"], put["seq"], put["doc_version"]) == (
        "PUT /v1/documents/{doc_id}",
        {"doc_id": "a"},
        41,
        3,
    )
    assert (deleted["action"], deleted["subject"], deleted["seq"]) == ("DELETE /v1/documents/{doc_id}", "tester", 42)


async def test_callers_without_a_token_are_counted_after_the_first(front: Front) -> None:
    for _ in range(50):
        await front.client.post("/v1/retrieve", json=QUERY, headers={"Authorization": "Bearer nonsense"})
    (first,) = front.records
    assert (first["status"], first["tenant"], first["query_id"]) == (401, None, None)
    front.ledger.start(0.01)
    front.ledger.stop()
    first, counted = front.records
    assert (counted["times"], counted["since"]) == (49, first["at"])


async def test_an_error_of_ours_is_on_record(front: Front) -> None:
    front.platform.fails = ZeroDivisionError("secret detail")
    assert (await front.client.post("/v1/retrieve", json=QUERY)).status_code == 500
    (entry,) = front.entries
    assert (entry.fields["status"], entry.fields["outcome"]) == (500, "failed")
    assert "secret" not in entry.body


async def test_what_shows_no_documents_leaves_no_record(front: Front) -> None:
    assert (await front.client.get("/v1/status")).status_code == 200
    assert (await front.client.get("/healthz")).status_code == 200
    assert front.records == []
    assert (await front.client.get("/v1/status", headers=showing("red", "write"))).status_code == 403
    assert len(front.records) == 1


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_cannot_be_put_on_record_does_not_leave(front: Front, stream: bool) -> None:
    for path, body in (("/v1/retrieve", QUERY), ("/v1/answer", QUESTION | {"stream": stream})):
        response = await front.client.post(path, json=body)
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) > 0
        assert "audit cannot be written" in response.json()["detail"]
        assert SECRET_TEXT not in response.text
    assert front.ledger.failures == 2


@pytest.mark.usefixtures("full_disk")
async def test_by_setting_an_answer_leaves_all_the_same(tmp_path: Path) -> None:
    front = Front(tmp_path, required=False)
    assert (await front.client.post("/v1/retrieve", json=QUERY)).status_code == 200
    assert front.ledger.failures == 1


@pytest.mark.usefixtures("full_disk")
async def test_a_refusal_leaves_also_when_it_cannot_be_put_on_record(front: Front) -> None:
    assert (await front.client.get("/v1/nowhere")).status_code == 404
    assert (await front.client.get("/v1/nowhere", headers={"Authorization": "x"})).status_code == 401


@pytest.mark.parametrize(("share", "logged"), [(0.0, 0), (1.0, 40), (0.5, None)])
async def test_a_share_of_the_queries_is_logged(tmp_path: Path, share: float, logged: int | None) -> None:
    front = Front(tmp_path, query_share=share)
    for _ in range(40):
        await front.client.post("/v1/retrieve", json=QUERY)
    kept = sum(entry.content is not None for entry in front.entries)
    assert len(front.entries) == 40
    assert kept == logged if logged is not None else 5 < kept < 35
