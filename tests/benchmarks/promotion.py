"""Twenty promotions and rollbacks while people ask and documents change: no failed request, no mixed answer.

Two versions with different chunkers take turns. Every document is one passage of the one and several of the other, so
an answer that mixed them would show it. Requests and changes come at a fixed rate, however slow the answers are. The
floor is the same load while nothing is promoted; the moments in which the digests are compared are not timed.
"""

import asyncio
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import aiohttp
import httpx
import numpy as np

from include.quarry.catalog.database import migrate
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.operations.health import wait_until
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, roll_back
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec, IndexSpec
from tests.benchmarks.cluster import bench_settings, serving
from tests.benchmarks.report import Report, Row, median

NAME = "promotion"
REQUESTS_PER_S, CHANGES_PER_S = 100, 20
MAX_P99, MAX_ROLLBACK_S = 2.0, 1.0
_DOCUMENTS = 300
_DELETED_FOR_S = 3.0
_PATIENCE_S = 60.0
_POLL_S = 0.01
_RECENT = 50
_RAY_NICE = 15
_TEXT = (
    "Document {number} tells of the {word} in the harbour of the old town. Ships bring granite, chalk and slate. "
    "The quarry behind the hill has been worked for {number} years by people who know each layer of the stone. "
    "In winter the {word} rests, and the masons cut what was broken in the summer. They sell it by weight. "
    "Every spring the road is mended first, since carts of stone are heavy. Then the {word} begins anew."
)
_WORDS = ["crane", "lighthouse", "ferry", "barge", "lantern", "anchor", "rudder", "compass", "mast", "keel"]


@dataclass
class Seen:
    """What the clients saw, from any thread. `timed` is off while something else than the product takes the time."""

    timed: bool = True
    failures: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    undead: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    answers: list[tuple[float, str]] = field(default_factory=list)
    deleted_at: dict[str, float] = field(default_factory=dict)
    changes: int = 0

    def judge(self, sent: float, status: int, content: bytes) -> None:
        if status != httpx.codes.OK:
            self.failures.append(f"{status}: {content[:200]!r}")
            return
        if self.timed:
            self.latencies_ms.append((time.monotonic() - sent) * 1000)
        body = json.loads(content)
        version: str = body["index_version"]
        self.versions[version] = self.versions.get(version, 0) + 1
        self.answers.append((sent, version))
        whole = version == "large"
        if any((hit["start"] == 0 and hit["end"] > _WHOLE_CHARS) != whole for hit in body["hits"]):
            self.mixed.append(f"{version}: {[(hit['start'], hit['end']) for hit in body['hits']]}")
        for hit in body["hits"]:
            if self.deleted_at.get(hit["doc_id"], sent) < sent - _DELETED_FOR_S:
                self.undead.append(f"{version}: {hit['doc_id']}")


_WHOLE_CHARS = 350


def run(folder: Path, switches: int, calm_s: float) -> Report:
    """`switches` promotions, each taken back."""
    home = folder / NAME
    rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (folder / "home" / "models").mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(folder / "home" / "models")
    settings = bench_settings(home)
    migrate(settings.catalog_url)
    large = settings.index_spec()
    small = IndexSpec(ChunkerSpec(max_tokens=48, min_tokens=8), large.embedding, large.store, large.lexical)
    build_version("large", "main", large, settings)
    promote("large", settings)
    build_version("small", "main", small, settings)
    seen = Seen()
    with serving(settings, "retrieval", "gateway"):
        _fill(settings)
        for version, spec in (("large", large), ("small", small)):
            build_version(version, "main", spec, settings, patience_s=_PATIENCE_S)
        promote("small", settings)
        promote("large", settings)
        with _load(settings, seen):
            wait_until(lambda: len(seen.versions) > 0, "answers", _PATIENCE_S, lambda _: None)
            time.sleep(calm_s / 3)
            seen.latencies_ms.clear()
            time.sleep(calm_s)
            calm, seen.latencies_ms = seen.latencies_ms, []
            turns = _take_turns(settings, seen, switches)
    return _report(seen, calm, turns)


@dataclass(frozen=True, slots=True)
class Turn:
    """Moments of one promotion that was taken back: the rollback was called, its first answer was seen, it was over."""

    called: float
    answered: float
    over: float

    def lasted_s(self, seen: Seen) -> float:
        """From the call to the last request that came after it and was still answered by the version taken back."""
        late = [sent for sent, version in seen.answers if version == "small" and self.called < sent < self.over]
        return max(late, default=self.called) - self.called


def _take_turns(settings: Settings, seen: Seen, switches: int) -> list[Turn]:
    turns = []
    for number in range(switches):
        _until_answered("small", seen, lambda: promote("small", settings))
        time.sleep(1.0)
        called = time.monotonic()
        answered = _until_answered("large", seen, lambda: roll_back("main", "a drill", settings))
        seen.timed = False
        for version in ("large", "small"):
            proof = check_completeness(version, settings, patience_s=_PATIENCE_S)
            assert proof["digest"] == proof["log_digest"]
        time.sleep(0.5)
        seen.timed = True
        turns.append(Turn(called, answered, time.monotonic()))
        print(f"  {number + 1} of {switches}: first answer after {answered - called:.2f} s", flush=True)
    return turns


def _until_answered(version: str, seen: Seen, switch: Any) -> float:
    """The moment at which a request that was sent after the call has been answered by the version."""
    began = time.monotonic()
    switch()
    while not any(sent > began and answered == version for sent, answered in seen.answers[-_RECENT:]):
        if time.monotonic() > began + _PATIENCE_S:
            raise TimeoutError(f"{version} did not answer within {_PATIENCE_S:.0f} s")
        time.sleep(_POLL_S)
    return time.monotonic()


@contextmanager
def _load(settings: Settings, seen: Seen) -> Iterator[None]:
    """Requests and changes at their rates until the block ends."""
    ended = threading.Event()

    async def everything() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _RAY_NICE)  # no better than the replicas it loads
        headers = bearer(make_token(settings, "default", "retrieve", "write"))
        many, patient = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(30)
        async with aiohttp.ClientSession(settings.http_url, headers=headers, connector=many, timeout=patient) as http:
            await asyncio.gather(
                _at_rate(REQUESTS_PER_S, ended, partial(_ask, http, seen)),
                _at_rate(CHANGES_PER_S, ended, partial(_change, http, seen)),
            )

    thread = threading.Thread(target=lambda: asyncio.run(everything()))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def _at_rate(per_s: float, ended: threading.Event, act: Any) -> None:
    """Begin one act after the other at the rate, without waiting for any."""
    began, running = time.monotonic(), set()
    for number in itertools.count():
        if ended.is_set():
            break
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        task = asyncio.create_task(act(number))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _ask(http: aiohttp.ClientSession, seen: Seen, number: int) -> None:
    query = f"{_WORDS[number % len(_WORDS)]} of document {number % _DOCUMENTS}"
    sent = time.monotonic()
    try:
        async with http.post("/v1/retrieve", json={"query": query}) as answer:
            seen.judge(sent, answer.status, await answer.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.failures.append(repr(error))


async def _change(http: aiohttp.ClientSession, seen: Seen, number: int) -> None:
    """Every fourth change deletes; the others replace or bring back."""
    doc_id = f"doc-{number * 7 % _DOCUMENTS}"
    deleting, body = number % 4 == 3, {"text": _text(number % _DOCUMENTS, number)}
    if not deleting:
        seen.deleted_at.pop(doc_id, None)
    try:
        async with http.request(
            "DELETE" if deleting else "PUT", f"/v1/documents/{doc_id}", json=None if deleting else body
        ) as answer:
            if not answer.ok and answer.status != httpx.codes.NOT_FOUND:  # deleted twice
                seen.failures.append(f"{answer.status}: {(await answer.read())[:200]!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.failures.append(repr(error))
    if deleting:
        seen.deleted_at[doc_id] = time.monotonic()
    seen.changes += 1


def _text(number: int, salt: int) -> str:
    return _TEXT.format(number=number, word=_WORDS[salt % len(_WORDS)])


def _fill(settings: Settings) -> None:
    headers = bearer(make_token(settings, "default", "write"))
    with httpx.Client(base_url=settings.http_url, headers=headers, timeout=60, trust_env=False) as http:
        wait_until(lambda: http.get("/readyz").is_success, "the gateway", _PATIENCE_S, lambda _: None)
        for number in range(_DOCUMENTS):
            http.put(f"/v1/documents/doc-{number}", json={"text": _text(number, number)}).raise_for_status()


def _report(seen: Seen, calm: list[float], turns: list[Turn]) -> Report:
    quiet, busy = (float(np.percentile(each, 99)) for each in (calm, seen.latencies_ms))
    rolled_back_s, answered_s = [turn.lasted_s(seen) for turn in turns], [turn.answered - turn.called for turn in turns]
    slowest = max(rolled_back_s)
    rows = [
        Row("failed requests", [0.0], [len(seen.failures)], len(seen.failures), "requests", at_most=0),
        Row("mixed answers", [0.0], [len(seen.mixed)], len(seen.mixed), "answers", at_most=0),
        Row("deleted shown after 3 s", [0.0], [len(seen.undead)], len(seen.undead), "hits", at_most=0),
        Row("p99 ms", [quiet], [busy], busy / quiet, at_most=MAX_P99),
        Row("slowest rollback", [], rolled_back_s, slowest, "s", at_most=MAX_ROLLBACK_S),
    ]
    notes = [
        f"{sum(seen.versions.values())} answers ({seen.versions}), {seen.changes} changes",
        "a rollback lasts until the last request that came later and was answered by the version taken back; the first "
        f"answer of the other one was seen after {median(answered_s):.2f} s, at most {max(answered_s):.2f} s",
        "after each turn both versions held exactly what the log says",
        *seen.failures[:3],
        *seen.mixed[:3],
        *seen.undead[:3],
    ]
    return Report(NAME, rows, notes)
