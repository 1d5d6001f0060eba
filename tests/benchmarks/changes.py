"""Documents that change, from a topic to the search: how soon, how fast, and what it costs those who search meanwhile.

At a trickle, every tenth change is looked for until it is found, and some are taken back and looked for until they are
gone. Then many short documents come at once, and their rate is held against the bare engine's over texts of the same
kind, on an empty machine and beside a platform at rest: what that takes of a small machine is no work on documents; and
what the indexer does beside embedding is told as its share of the indexer's processor time. How much of the flood the
engine was at work, or kept from it only because another had the processor, says whether anything but processors holds
documents up. As many again come while others search, and those searches are held against the ones at rest.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import psutil
from confluent_kafka import Producer

from include.quarry.embedding.engine import embedders
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.lake.fresh import BATCH_TEXTS
from include.quarry.operations.health import wait_until
from include.quarry.operations.installation import Installation
from include.quarry.operations.processes import processes_of
from include.quarry.settings import Settings
from tests.benchmarks.cluster import serving
from tests.benchmarks.report import Report, Row
from tests.benchmarks.streamed import TOPIC, streamed
from tests.benchmarks.undisturbed import undisturbed
from tests.processes import title_of

NAME = "changes"
CHANGES_PER_S, LOOKED_FOR_EVERY, SEARCHES_PER_S = 20, 10, 5
MAX_P50_S, MAX_P95_S, MAX_GONE_S = 1.0, 2.0, 2.0
MIN_RATE, MAX_SEARCH_P95 = 0.9, 2.0
_TRICKLE_S = 30.0
_IDLE_S = 15.0
_SAMPLE = 8 * BATCH_TEXTS
_QUESTIONS = int(_IDLE_S / 2 * SEARCHES_PER_S)  # asked at rest and again and again under load: some are dearer
_PATIENCE_S = 120.0
_POLL_S = 0.05
# At 20 looks a second, four of five searches while documents come at full rate would be the bench's own.
_GLANCE_S = 0.5
_TEXT = (
    "Delivery {number} left the quarry with granite for the harbour wall. The carter signed for {weight} stones and "
    "asked for mark {word}."
)


class Pace(NamedTuple):
    """Of the bare engine: texts a second, and seconds of processor time a text."""

    rate: float
    cpu_s: float


class Flood(NamedTuple):
    """Documents a second; the indexer's seconds of processor time a document; and the share of the time that the
    engine's threads were at work or waited for a processor."""

    rate: float
    cpu_s: float
    engine_share: float


class Topic:
    """The producer, and a client of the search."""

    def __init__(self, broker: str, settings: Settings) -> None:
        self._producer = Producer({"bootstrap.servers": broker, "linger.ms": 0})
        self._headers = bearer(make_token(settings, "default", "retrieve"))
        self._url = settings.http_url

    def send(self, number: int, *, deleted: bool = False) -> None:
        """One event; all are in one partition, so that the last one found means all are."""
        event = {"op": "delete" if deleted else "upsert", "tenant": "default", "doc_id": f"note-{number}"}
        if not deleted:
            event["text"] = text_of(number)
        self._producer.produce(TOPIC, json.dumps(event).encode(), str(number))
        self._producer.poll(0)

    def send_all(self, numbers: range) -> None:
        """Upserts of all, as fast as the producer takes them."""
        for number in numbers:
            self.send(number)

    def flush(self) -> None:
        """Return when the broker has all."""
        assert self._producer.flush(60) == 0

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=60, trust_env=False)

    async def seconds_until(
        self, http: httpx.AsyncClient, number: int, there: bool, *, every_s: float = _POLL_S
    ) -> float:
        """From now until a search for the document's own word finds it, or no longer does."""
        began = time.monotonic()
        while await self.finds(http, number) is not there:
            if time.monotonic() > began + _PATIENCE_S:
                raise TimeoutError(f"note-{number} was not {'found' if there else 'gone'} within {_PATIENCE_S:.0f} s")
            await asyncio.sleep(every_s)
        return time.monotonic() - began

    async def finds(self, http: httpx.AsyncClient, number: int) -> bool:
        body = {"query": _word(number)}
        answer = await http.post("/v1/retrieve", json=body, headers={"Cache-Control": "no-store"})
        hits = answer.raise_for_status().json()["hits"]
        return any(hit["doc_id"] == f"note-{number}" for hit in hits)


def run(folder: Path, documents: int) -> Report:
    """`documents` come at once after the trickle."""
    with streamed(folder, NAME, partitions=1) as (broker, settings):
        bare = [undisturbed(lambda: _engine_pace(settings))]
        # The client that takes the time is in the platform's session, since its own waiting is not the platform's.
        with serving(settings, "retrieval", "gateway", own_session=False) as platform:
            topic = Topic(broker, settings)
            _warm(topic, settings)
            beside = [undisturbed(lambda: _engine_pace(settings))]
            found_s, gone_s = asyncio.run(_trickle(topic))
            firsts = itertools.count(10**5, 10**5)
            floods = (range(first, first + documents) for first in firsts)
            indexer = _indexer(platform)
            threads = settings.embedding_threads
            alone = undisturbed(lambda: _timed_flood(topic, next(floods), indexer, threads))
            idle_ms, busy_ms, searched = undisturbed(lambda: asyncio.run(_searched_flood(topic, next(floods))))
            beside.append(undisturbed(lambda: _engine_pace(settings)))
        bare.append(undisturbed(lambda: _engine_pace(settings)))
    return _report(found_s, gone_s, (idle_ms, busy_ms), (alone, searched), (bare, beside))


def text_of(number: int) -> str:
    return _TEXT.format(number=number, weight=number % 97, word=_word(number))


def _word(number: int) -> str:
    return f"zq{number}x"


def _engine_pace(settings: Settings) -> Pace:
    """The bare engine's, with the threads and in the batches that the platform gives it."""
    encode = embedders(settings)(settings.index_spec().embedding).encode
    texts = [text_of(number) for number in range(10**6, 10**6 + _SAMPLE)]
    encode(texts[:BATCH_TEXTS])
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, _SAMPLE, BATCH_TEXTS):
        encode(texts[start : start + BATCH_TEXTS])
    return Pace(_SAMPLE / (time.perf_counter() - began), (time.process_time() - cpu) / _SAMPLE)


def _indexer(platform: Installation) -> psutil.Process:
    (indexer,) = (each for each in processes_of(platform) if "Indexing" in title_of(each))
    return indexer


def _warm(topic: Topic, settings: Settings) -> None:
    """The first document waits for the group to form and for the model."""
    with httpx.Client(base_url=settings.http_url, timeout=60, trust_env=False) as http:
        wait_until(lambda: http.get("/readyz").is_success, "the gateway", _PATIENCE_S, lambda _: None)
    topic.send(0)
    topic.flush()

    async def first() -> None:
        async with topic.client() as http:
            await topic.seconds_until(http, 0, there=True)

    asyncio.run(first())


async def _trickle(topic: Topic) -> tuple[list[float], list[float]]:
    """Seconds until found, and until gone, of the changes that were looked for."""
    began, looking, taking = time.monotonic(), [], []
    async with topic.client() as http:
        for number in range(1, int(_TRICKLE_S * CHANGES_PER_S)):
            await asyncio.sleep(max(0.0, began + number / CHANGES_PER_S - time.monotonic()))
            old = number - 5 * CHANGES_PER_S  # long found
            if number % LOOKED_FOR_EVERY == LOOKED_FOR_EVERY // 2 and old > 0:
                topic.send(old, deleted=True)
                taking.append(asyncio.create_task(topic.seconds_until(http, old, there=False)))
                continue
            topic.send(number)
            if number % LOOKED_FOR_EVERY == 0:
                looking.append(asyncio.create_task(topic.seconds_until(http, number, there=True)))
        return await asyncio.gather(*looking), await asyncio.gather(*taking)


async def _flood(topic: Topic, numbers: range) -> float:
    """Documents a second, from the first sent to the last found."""
    async with topic.client() as http:
        began = time.monotonic()
        await asyncio.to_thread(topic.send_all, numbers)
        await topic.seconds_until(http, numbers[-1], there=True, every_s=_GLANCE_S)
        return len(numbers) / (time.monotonic() - began)


def _timed_flood(topic: Topic, numbers: range, indexer: psutil.Process, threads: int) -> Flood:
    before, cpu_s = _threads(indexer), sum(indexer.cpu_times()[:2])
    rate = asyncio.run(_flood(topic, numbers))
    cpu_s = sum(indexer.cpu_times()[:2]) - cpu_s
    spent = (now_s - before.get(thread, 0.0) for thread, now_s in _threads(indexer).items())
    engine_s = sorted(spent, reverse=True)[:threads]  # no others do as much
    return Flood(rate, cpu_s / len(numbers), sum(engine_s) / len(engine_s) / (len(numbers) / rate))


def _threads(process: psutil.Process) -> dict[str, float]:
    """Seconds that each thread has run or waited for a processor so far, as Linux tells."""
    seconds = {}
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            ran_ns, waited_ns, _ = (thread / "schedstat").read_text().split()
            seconds[thread.name] = (int(ran_ns) + int(waited_ns)) / 1e9
    return seconds


async def _searched_flood(topic: Topic, numbers: range) -> tuple[list[list[float]], list[float], float]:
    """Milliseconds of searches at rest, before and after, since there is more to search then; of those while the
    documents come; and documents a second."""
    async with topic.client() as http:
        idle_ms = [await _search_at_rest(http)]
        done = asyncio.Event()
        searching = asyncio.create_task(_search(http, until=done.is_set))
        rate = await _flood(topic, numbers)
        done.set()
        busy_ms = await searching
        idle_ms.append(await _search_at_rest(http))
        return idle_ms, busy_ms, rate


async def _search_at_rest(http: httpx.AsyncClient) -> list[float]:
    rested_at = time.monotonic() + _IDLE_S / 2
    return await _search(http, until=lambda: time.monotonic() > rested_at)


async def _search(http: httpx.AsyncClient, until: Callable[[], bool]) -> list[float]:
    """Milliseconds of searches that come at a fixed rate, however long each takes."""

    async def ask(number: int) -> float:
        sent = time.monotonic()
        body = {"query": f"granite for the harbour wall, delivery {number % _QUESTIONS}"}
        answer = await http.post("/v1/retrieve", json=body, headers={"Cache-Control": "no-store"})
        answer.raise_for_status()
        return (time.monotonic() - sent) * 1000

    began, asked = time.monotonic(), []
    for number in itertools.count():
        if until():
            break
        asked.append(asyncio.create_task(ask(number)))
        await asyncio.sleep(max(0.0, began + (number + 1) / SEARCHES_PER_S - time.monotonic()))
    return await asyncio.gather(*asked)


def _report(
    found_s: list[float],
    gone_s: list[float],
    searches_ms: tuple[list[list[float]], list[float]],
    floods: tuple[Flood, float],
    engine: tuple[list[Pace], list[Pace]],
) -> Report:
    """`floods` are the one alone, and documents a second beside searches."""
    idle_ms, busy_ms = searches_ms
    p50, p95 = np.percentile(found_s, (50, 95))
    at_rest, busy = [float(np.percentile(each, 95)) for each in idle_ms], float(np.percentile(busy_ms, 95))
    (alone, cpu_s, engine_share), searched = floods
    bare, beside = ([pace.rate for pace in paces] for paces in engine)
    embedding_ms = [pace.cpu_s * 1000 for paces in engine for pace in paces]
    beside_embedding = 1 - sum(embedding_ms) / len(embedding_ms) / (cpu_s * 1000)
    own, empty, idle = (sum(each) / len(each) for each in (beside, bare, at_rest))
    rows = [
        Row("searchable after, p50 s", [], found_s, float(p50), "s", at_most=MAX_P50_S),
        Row("searchable after, p95 s", [], found_s, float(p95), "s", at_most=MAX_P95_S),
        Row("gone after, slowest s", [], gone_s, max(gone_s), "s", at_most=MAX_GONE_S),
        Row("documents a second", bare, [alone], alone / empty, at_least=MIN_RATE),
        Row("the same, others searching", bare, [searched], searched / empty),
        Row("the same, engine beside a platform at rest", beside, [alone], alone / own),
        Row(
            "indexer, ms of processor time a document", embedding_ms, [cpu_s * 1000], beside_embedding, "not embedding"
        ),
        Row("engine at work, or kept from a processor", [], [engine_share], engine_share, "of the time"),
        Row("p95 of searches, ms", at_rest, [busy], busy / idle, at_most=MAX_SEARCH_P95),
    ]
    notes = [
        f"{len(found_s)} changes looked for and {len(gone_s)} deletes, at {CHANGES_PER_S} changes/s",
        f"{len(busy_ms)} searches while documents came at full rate, {SEARCHES_PER_S} a second",
    ]
    return Report(NAME, rows, notes)
