"""Kept answers over HTTP: told in the same form, on record and counted as any other, and paid for once."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.quarry.audit.journal import Journal
from include.quarry.audit.ledger import Ledger
from include.quarry.audit.segments import Position, Segments
from include.quarry.audit.shipping import Shipper
from include.quarry.audit.trail import store_records
from include.quarry.cache.answers import CachedAnswers
from include.quarry.cache.counts import Counts
from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.usage import read_usage
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.chat_routes import chat_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, VerifiedSentence
from include.quarry.generation.protocol import Origin, Usage, Wish
from include.quarry.limits.accounting import count_usage
from include.quarry.limits.leases import Leases
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.plans import read_plans
from include.quarry.limits.quotas import Quotas
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from include.quarry.retrieval.retriever import Retrieval
from tests.door import open_test_door, showing

TEXT = "The quarry opens at seven. It closes at nine."
PLACES = ((0, 26), (27, 45))
CHUNK = Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(TEXT, "", 0, len(TEXT), 9), {})
CITED = tuple(Citation(number, "c1", "a", "file:///a", *place) for number, place in enumerate(PLACES, 1))
SAID = ("The quarry opens at seven [1].", "It closes at nine [2].")
PLANS = "plans: {standard: {requests_per_s: 1, burst_s: 4, tokens_per_day: 1000, documents: 9}}"
QUESTION = {"question": "When is it open?"}
CHAT = {"model": "quarry-fast", "messages": [{"role": "user", "content": "When is it open?"}]}


class House:
    """The application with door, limits, ledger and a cache of answers, over a model that is counted."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'catalog.db'}"
        migrate(url)
        self.database = database = Database(url)
        (folder / "plans.yaml").write_text(PLANS)
        plans = read_plans(folder / "plans.yaml")
        self.journal = Journal(folder / "audit", "gateway")
        self.shipper = Shipper(self.journal.origin, database, (count_usage, store_records))
        limiter = Limiter(plans, Leases(MemoryCounters(), clock=lambda: 1e9), Quotas(database))
        door = open_test_door(limiter=limiter, ledger=Ledger(self.journal, self.shipper))
        cached = CachedAnswers(Layers(MemoryCache(10**6, 600)), Counts(), lambda *_: {"fast": "fast-1"})
        asking = Asking(self._retrieve, self._answer, cached)
        routers = (answer_routes(asking, door), chat_routes(asking, door))
        app = build_http_app(routers, door, max_document_bytes=1000)
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("red"))
        self.made = 0

    @property
    def records(self) -> list[dict[str, Any]]:
        entries = Segments(self.journal.folder, self.journal.writer).read(Position())[0]
        return [dict(entry.fields) for entry in entries]

    async def _retrieve(self, *_asked: object, **_how: object) -> Retrieval:
        return Retrieval([Hit(CHUNK, 0.5, {"dense": 1})], "v1", 7, {"total": 1.0})

    async def _answer(
        self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit
    ) -> AsyncGenerator[AnswerEvent]:
        self.made += 1
        for text, citation in zip(SAID, CITED, strict=True):
            yield VerifiedSentence(text, (citation,))
        usage, times = Usage(100, 20, 0.5), {"total": 2.0}
        answer = Answer(" ".join(SAID), CITED, True, "fast", usage, times, "asked for", 0.25, {"fast": usage})
        yield replace(answer, origin=Origin("fast-1", "model", "v1"), whole=True)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_hit_says_so_and_costs_nothing(house: House) -> None:
    first, again = [await house.client.post("/v1/answer", json=QUESTION) for _ in range(2)]
    assert [each.headers["cache-status"] for each in (first, again)] == ["quarry; fwd=uri-miss", "quarry; hit"]
    made, kept = first.json(), again.json()
    assert (made["cached"], made["usage"]["completion_tokens"], made["cost"]) == (False, 20, 0.25)
    assert (kept["cached"], kept["usage"]) == (True, {"prompt_tokens": 0, "completion_tokens": 0, "engine_s": 0.0})
    assert kept["cost"] == 0
    its_own = ("query_id", "timings_ms", "usage", "cost", "cached")
    assert {name: value for name, value in made.items() if name not in its_own} == {
        name: value for name, value in kept.items() if name not in its_own
    }
    assert made["query_id"] != kept["query_id"] == again.headers["x-request-id"]
    assert house.made == 1


async def test_a_stream_that_hits_has_the_same_events(house: House) -> None:
    streams = [await house.client.post("/v1/answer", json={**QUESTION, "stream": True}) for _ in range(2)]
    assert [each.headers["cache-status"] for each in streams] == ["quarry; fwd=uri-miss", "quarry; hit"]
    made, kept = (_events(each.text) for each in streams)
    assert [name for name, _ in kept] == ["sentence", "sentence", "answer"]
    assert kept[:2] == made[:2]
    assert [event["text"] for _, event in kept[:2]] == list(SAID)
    assert [event["citations"][0]["text"] for _, event in kept[:2]] == [TEXT[slice(*place)] for place in PLACES]
    assert (kept[2][1]["answer"], kept[2][1]["cached"], house.made) == (" ".join(SAID), True, 1)


async def test_openais_clients_hit_what_others_asked_and_are_told_no_tokens(house: House) -> None:
    await house.client.post("/v1/answer", json={**QUESTION, "tier": "fast"})
    whole = await house.client.post("/v1/chat/completions", json=CHAT)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = await house.client.post("/v1/chat/completions", json={**CHAT, **options})
    assert [each.headers["cache-status"] for each in (whole, streamed)] == ["quarry; hit"] * 2
    assert (whole.json()["usage"]["total_tokens"], whole.json()["quarry"]["cached"]) == (0, True)
    chunks = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks[:-1]) == " ".join(SAID)
    assert chunks[-1]["usage"]["total_tokens"] == 0
    assert house.made == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hit_is_on_record_with_who_read_which_chunks(house: House, stream: bool) -> None:
    for _ in range(2):
        await house.client.post("/v1/answer", json={**QUESTION, "stream": stream})
    made, kept = [record for record in house.records if record.get("outcome") != "begun"]
    for record in (made, kept):
        assert (record["tenant"], record["subject"], record["action"]) == ("red", "tester", "POST /v1/answer")
        assert (record["chunks"], record["documents"], record["cited"]) == (["c1"], ["a"], ["c1"])
        assert (record["index_version"], record["watermark"], record["tier"]) == ("v1", 7, "fast")
    assert (made.get("cached"), kept["cached"]) == (None, True)
    assert kept["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "engine_s": 0.0}
    assert made["query_id"] != kept["query_id"]


async def test_hits_are_counted_in_limits_and_their_tokens_are_not(house: House) -> None:
    statuses = [(await house.client.post("/v1/answer", json=QUESTION)).status_code for _ in range(5)]
    assert (statuses, house.made) == ([200] * 4 + [429], 1)
    house.shipper.step()
    with house.database.read() as connection:
        used = {key.tier: each for key, each in read_usage(connection, "red", datetime.now(UTC).date())}
    assert (used[""].requests, used["fast"].answers, used["fast"].tokens, used["fast"].cost) == (4, 4, 120, 0.25)


def _events(stream: str) -> list[tuple[str, dict[str, Any]]]:
    parts = [part.split("\n") for part in stream.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]
