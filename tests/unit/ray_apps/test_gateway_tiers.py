"""A tier behind a handle: one that is dead, silent or away costs a moment, not the answer, and is asked again later."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from include.quarry.errors import DeadlinePassed, Misconfigured, Unavailable
from include.quarry.generation.answering import Answerer
from include.quarry.generation.answers import Answer, Ended, TierEvent, VerifiedSentence
from include.quarry.generation.protocol import Wish
from include.quarry.generation.queue import Standing
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from ray_apps.gateway import tiers
from ray_apps.gateway.tiers import RemoteTier
from tests.door import visit

STANDING = Standing(1, 0, {"urgent": 0, "normal": 0, "batch": 0}, 1.0)
SENTENCE = VerifiedSentence("The quarry opens at seven [1].", ())
DONE = Ended("done")
TEXT = "The quarry opens at seven in the morning."
CHUNK = Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(TEXT, "", 0, len(TEXT), 1), {})
SILENT = "silent"


class Handle:
    """Stands for Serve's: each call plays the next script, the last one again and again."""

    def __init__(self, *scripts: list[object]) -> None:
        self._scripts = list(scripts)
        self.calls = 0
        self.cancelled = 0

    def options(self, **_: object) -> "Handle":
        return self

    @property
    def answer(self) -> SimpleNamespace:
        return SimpleNamespace(remote=self._call)

    def _call(self, *_: object) -> "Call":
        script = self._scripts[min(self.calls, len(self._scripts) - 1)]
        self.calls += 1
        return Call(self, list(script))


class Call:
    def __init__(self, handle: Handle, script: list[object]) -> None:
        self._handle = handle
        self._script = script

    async def __anext__(self) -> Any:
        if not self._script:
            raise StopAsyncIteration
        event = self._script.pop(0)
        if isinstance(event, BaseException):
            raise event
        if event == SILENT:
            await asyncio.Event().wait()
        if isinstance(event, asyncio.Event):
            await event.wait()
            return await anext(self)
        return event

    def cancel(self) -> None:
        self._handle.cancelled += 1


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Rests end by this clock, which stands still; what is waited for in silence takes 20 ms."""
    clock = SimpleNamespace(now_s=1000.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr(tiers, "time", clock)
    for name in ("FIRST_S", "SILENCE_S"):
        monkeypatch.setattr(tiers, name, 0.02)
    return clock


def ask(tier: RemoteTier) -> AsyncGenerator[TierEvent]:
    return tier.answer("When does the quarry open?", [], Wish(), visit())


async def collect(tier: RemoteTier) -> list[TierEvent]:
    return [event async for event in ask(tier)]


async def test_what_the_tier_says_comes_through_up_to_its_end() -> None:
    handle = Handle([STANDING, SENTENCE, DONE, "nothing after it"])
    assert await collect(RemoteTier(handle, str)) == [STANDING, SENTENCE, DONE]


GONE = ActorDiedError()


@pytest.mark.parametrize(
    "script",
    [[GONE], [SILENT], [STANDING, SILENT], [STANDING, GONE], [], [STANDING]],
    ids=["dead", "no replica", "hung", "killed", "nothing", "cut off"],
)
async def test_a_tier_that_is_gone_or_silent_is_unavailable_and_rests(script: list[object]) -> None:
    tier = RemoteTier(Handle(script), str)
    with pytest.raises(Unavailable, match="the next tier answers"):
        await collect(tier)
    assert tier.absence == "does not answer"


async def test_a_tier_that_rested_is_asked_again_by_one_and_then_by_all(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "FIRST_S", 60.0)
    comes_back = asyncio.Event()
    tier = RemoteTier(Handle([GONE], [comes_back, STANDING, DONE]), str)
    with pytest.raises(Unavailable):
        await collect(tier)
    clock.now_s += tiers.REST_S / 2
    assert tier.absence == "does not answer"
    clock.now_s += tiers.REST_S / 2
    assert tier.absence == ""
    probing = ask(tier)
    reading = asyncio.create_task(anext(probing))
    await asyncio.sleep(0)
    assert tier.absence == "does not answer"
    comes_back.set()
    assert await reading == STANDING
    assert tier.absence == ""
    await probing.aclose()


async def test_leaving_cancels_the_call() -> None:
    handle = Handle([STANDING, SILENT])
    events = ask(RemoteTier(handle, str))
    await anext(events)
    await events.aclose()
    assert handle.cancelled == 1


def failing(cause: Exception) -> BaseException:
    error: BaseException = RayTaskError("answer", f"a traceback: {cause}", cause).as_instanceof_cause()
    return error


OWN = [Misconfigured("the model is none"), ValueError("no number"), TimeoutError("of its own")]


@pytest.mark.parametrize("cause", OWN, ids=["misconfigured", "bug", "timeout"])
async def test_an_error_of_the_tiers_own_is_logged_and_not_taken_for_its_death(
    cause: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    tier = RemoteTier(Handle([failing(cause)]), str)
    with pytest.raises(Unavailable, match="the next tier answers"):
        await collect(tier)
    assert tier.absence == ""
    assert str(cause) in caplog.text


async def test_what_is_wrong_with_the_question_is_no_failure_of_the_tier() -> None:
    with pytest.raises(DeadlinePassed):
        await collect(RemoteTier(Handle([failing(DeadlinePassed("too late"))]), str))


@pytest.mark.parametrize("cause", OWN, ids=["misconfigured", "bug", "timeout"])
async def test_a_tier_with_an_error_of_its_own_gives_way_to_the_next(cause: Exception) -> None:
    answer = await answered(Handle([STANDING, SENTENCE, DONE]), Handle([STANDING, failing(cause)]))
    assert (answer.tier, answer.text) == ("fast", SENTENCE.text)


async def answered(fast: Handle, deep: Handle, absent: Callable[[], str] = str) -> Answer:
    answerer = Answerer({"fast": RemoteTier(fast, str), "deep": RemoteTier(deep, absent)})
    hits = [Hit(CHUNK, 0.5, {})]
    events = [event async for event in answerer.answer("When does the quarry open?", hits, Wish("deep"), visit())]
    answer = events[-1]
    assert isinstance(answer, Answer)
    return answer


async def test_a_dead_tier_gives_way_to_the_next_and_the_answer_says_so() -> None:
    answer = await answered(Handle([STANDING, SENTENCE, DONE]), Handle([GONE]))
    assert (answer.tier, answer.text) == ("fast", SENTENCE.text)
    assert answer.tier_reason == "deep was asked for; deep does not answer"


async def test_with_both_dead_the_passages_speak_for_themselves() -> None:
    answer = await answered(Handle([GONE]), Handle([SILENT]))
    assert (answer.tier, answer.text) == ("extractive", "The quarry opens at seven in the morning [1].")


async def test_a_tier_that_dies_midway_leaves_what_it_had_said() -> None:
    answer = await answered(Handle([STANDING, DONE]), Handle([STANDING, SENTENCE, GONE]))
    assert (answer.tier, answer.text) == ("deep", SENTENCE.text)
    assert answer.tier_reason == "deep was asked for; deep broke off"


async def test_a_model_that_was_never_fetched_is_not_waited_for() -> None:
    deep = Handle([SILENT])
    answer = await answered(Handle([STANDING, SENTENCE, DONE]), deep, lambda: "is not installed: `make deep-model`")
    assert (answer.tier, deep.calls) == ("fast", 0)
    assert "deep is not installed: `make deep-model`" in answer.tier_reason
