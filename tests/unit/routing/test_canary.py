"""A version that behaves in shadow and turns bad as the canary: it is taken back by the trial itself, and nobody who
asked meanwhile went without an answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import Refused
from include.quarry.records import Scope
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.protocol import Found, SearchIndex
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing import rollout
from include.quarry.routing import shadow as comparisons_module
from include.quarry.routing.building import build_version
from include.quarry.routing.opening import Follows, opens_here
from include.quarry.routing.probes import Probe
from include.quarry.routing.promotion import promote
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.rollout import try_version
from include.quarry.routing.shadow import Comparisons
from include.quarry.routing.trial import Limits
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder

_PATIENCE_S = 60.0
_STONES = 40
_LONG_S, _SHORT_S = 5.0, 0.5
"""For a version that answers, however busy the machine is, and for one that hangs."""


_HITS = 5
_LIMITS = Limits(min_queries=20, slack_ms=50.0)  # a busy machine is not to decide
Spoil = Callable[..., Found]


class Turning:
    """A whole index, until it is spoilt: then what `spoil` does takes the place of its answers."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self.spoil: Spoil | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    @property
    def waits(self) -> bool:
        return True  # a search that sleeps belongs on a thread

    def find(self, *asked: Any) -> Found:
        return self.spoil(self._index, *asked) if self.spoil else self._index.find(*asked)


def fail(*_: object) -> NoReturn:
    raise ValueError("this version is broken")


def hang(index: Index, *asked: Any) -> Found:
    threading.Event().wait(2.0)
    return index.find(*asked)


def dawdle(index: Index, *asked: Any) -> Found:
    threading.Event().wait(0.25)
    return index.find(*asked)


def find_something_else(index: Index, queries: Sequence[str], vectors: Any, _k: int, scope: Scope) -> Found:
    found = index.find(queries, vectors, _STONES, scope)
    return Found([hits[::-1][:_HITS] for hits in found.hits], found.watermark)


class Door:
    """Asks through one replica, as the front door does, and remembers the answers of the people."""

    def __init__(self, residents: ResidentIndexes, comparisons: Comparisons) -> None:
        self._residents = residents
        self._comparisons = comparisons
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def ask(self, query: str) -> Future[Retrieval]:
        asked = self._comparisons.retrieve(self._residents.load("main"), query, _HITS, Scope("default"), within_s=30)
        return asyncio.run_coroutine_threadsafe(asked, self._loop)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def asked_by_people(door: Door) -> Iterator[list[Retrieval]]:
    """Somebody asks one thing after the other; a request that failed fails the test."""
    answers: list[Retrieval] = []
    failures: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        number = 0
        while not ended.wait(0.005):
            try:
                answers.append(door.ask(f"stone number {number % _STONES}").result(_PATIENCE_S))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the test is about
                failures.append(error)
            number += 1

    person = threading.Thread(target=ask)
    person.start()
    try:
        yield answers
    finally:
        ended.set()
        person.join()
    assert failures == []


@dataclass
class Replica:
    """A replica that answers by v1 and can come to hold v2, which turns bad when it is told to."""

    settings: Settings
    residents: ResidentIndexes
    door: Door
    comparisons: Comparisons
    turning: dict[str, Turning]

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def replica(
    corpus: Corpus, routing_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    for number in range(_STONES):
        corpus.put(f"d{number}", f"Stone number {number} of the quarry is kept in hall {number * 7 % _STONES}.")
    corpus.embed()
    for version_id in ("v1", "v2"):
        build_version(version_id, "main", SPEC, routing_settings)
    promote("v1", routing_settings)
    turning: dict[str, Turning] = {}

    def opened(version: IndexVersion, scratch: Path) -> tuple[SearchIndex, Follows]:
        index, follower = opens_here(corpus.database, corpus.lake)(version, scratch)
        turning[version.version_id] = Turning(index)
        return turning[version.version_id], follower

    residents = ResidentIndexes(
        corpus.database,
        corpus.lake,
        tmp_path / "scratch",
        lambda spec: HashEncoder(),
        interval_s=0.02,
        open_version=opened,
    )
    comparisons = Comparisons(corpus.database, patience_s=_LONG_S)
    door = Door(residents, comparisons)

    def ask(_url: str, _corpus: str, probes: Sequence[Probe], *_: object) -> Iterator[str]:
        for probe in probes:
            yield door.ask(probe.query).result(_PATIENCE_S).index_version
        comparisons.write()

    monkeypatch.setattr(rollout, "ask", ask)
    monkeypatch.setattr(rollout, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(comparisons_module, "_AT_ONCE", 8)
    residents.load("main")
    residents.start()
    settings = routing_settings.model_copy(update={"trial_patience_s": _PATIENCE_S})
    try:
        yield Replica(settings, residents, door, comparisons, turning)
    finally:
        residents.stop()
        door.close()


@pytest.mark.parametrize(
    ("spoil", "patience_s", "reason"),
    [
        (fail, _LONG_S, r"failed on \d+ of \d+ queries"),
        (hang, _SHORT_S, r"failed on \d+ of \d+ queries"),
        (dawdle, _LONG_S, r"ms where the live version takes"),
        (find_something_else, _LONG_S, r"overlap@10"),
    ],
)
def test_a_version_that_turns_bad_as_canary_is_taken_back_and_every_request_is_answered(
    corpus: Corpus, replica: Replica, spoil: Spoil, patience_s: float, reason: str
) -> None:
    with asked_by_people(replica.door) as answers:
        assert try_version("v2", "shadow", 0.5, replica.settings, _LIMITS)["outcome"] == "pass"
        replica.turning["v2"].spoil, replica.comparisons._patience_s = spoil, patience_s
        with pytest.raises(Refused, match=reason):
            try_version("v2", "canary", 0.25, replica.settings, _LIMITS)
        replica.until(lambda: set(replica.residents.load("main").versions) == {"v1"})
        before = len(answers)
        replica.until(lambda: len(answers) > before + 20)
    assert {answer.index_version for answer in answers[before + 1 :]} == {"v1"}
    with corpus.database.read() as connection:
        route, version = find_route(connection, "main"), find_version(connection, "v2")
    assert route is not None
    assert (route.live_version, route.candidate) == ("v1", None)
    assert version.state == "failed"
    assert version.reason.startswith("as canary with a share of 0.25")
