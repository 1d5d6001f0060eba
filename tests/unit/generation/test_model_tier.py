"""A tier with a queue and a model: what it tells, when it gives up, and what it frees when its caller leaves."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from include.quarry.errors import InvalidInput, Unavailable
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.visit import Visit
from include.quarry.generation import model_tier
from include.quarry.generation.answers import Ended, TierEvent, VerifiedSentence
from include.quarry.generation.evidence import Evidence, read_evidence
from include.quarry.generation.model_tier import SPARE_S, ModelTier
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE, Delta, Message, Origin, Usage, Wish
from include.quarry.generation.queue import Standing, TierQueue
from include.quarry.generation.writing import LIMITS, Writer
from tests.door import visit

from .conftest import MakeHit

ASKED = "How many rules has Ruff?"
SENTENCE = "Ruff has 800 rules. "


class Model:
    """Says one sentence, then goes on only when it may; `talks` is what it says meanwhile, word by word."""

    name = "scripted"

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.max_tokens = 0
        self.go_on = asyncio.Event()
        self.running = 0
        self.talks: Sequence[str] = ()
        self._error = error

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta]:
        self.asked += 1
        self.max_tokens = max_tokens
        self.running += 1
        try:
            if self._error:
                raise self._error
            for number, word in enumerate(self.talks, 1):
                yield Delta(word, Usage(50, number))
            if self.talks:
                await self.go_on.wait()
            yield Delta(SENTENCE + "And", Usage(50, 6))
            await self.go_on.wait()
            yield Delta(" more.", Usage(50, 8))
        finally:
            self.running -= 1

    def check(self) -> None:
        if self._error:
            raise self._error


class Bench:
    """A tier over a model, its ends, and the evidence it is asked with."""

    def __init__(self, evidence: list[Evidence], model: Model, places: int = 4) -> None:
        self.ends: list[Ended] = []
        self.model = model
        self.queue = TierQueue(slots=1, places=places)
        writer = Writer(model, PromptTemplate.load(), LIMITS["fast"])
        self.tier = ModelTier("fast", writer, self.queue, tell=self.ends.append)
        self._evidence = evidence

    def ask(self, by: Visit | None = None, wish: Wish | None = None) -> AsyncGenerator[TierEvent]:
        return self.tier.answer(ASKED, self._evidence, wish or Wish(), by or visit())

    async def begun(self) -> AsyncGenerator[TierEvent]:
        """One that has the slot, and has said its first sentence."""
        events = self.ask()
        assert isinstance(await anext(events), Standing)
        assert isinstance(await anext(events), Origin)
        assert isinstance(await anext(events), VerifiedSentence)
        return events

    async def end(self, by: Visit | None = None) -> Ended:
        last = [event async for event in self.ask(by)][-1]
        assert isinstance(last, Ended)
        return last


@pytest.fixture
def evidence(make_hit: MakeHit) -> list[Evidence]:
    return read_evidence([make_hit("Ruff has 800 rules.")])


@pytest.fixture
def bench(evidence: list[Evidence]) -> Bench:
    return Bench(evidence, Model())


def hurried(seconds: float) -> Visit:
    return replace(visit(), deadline=Deadline(seconds))


async def test_it_tells_how_busy_it_is_then_sentences_then_the_end(bench: Bench) -> None:
    bench.model.go_on.set()
    standing, origin, sentence, used, ended = [event async for event in bench.ask()]
    assert isinstance(standing, Standing)
    assert origin == Origin(DEFAULT_RELEASE, "scripted", PromptTemplate.load().version)
    assert isinstance(sentence, VerifiedSentence)
    assert isinstance(used, Usage)
    assert (used.prompt_tokens, used.completion_tokens) == (50, 6)
    assert isinstance(ended, Ended)
    assert (ended.how, ended.usage.prompt_tokens, ended.usage.completion_tokens) == ("done", 50, 8)
    assert ended.usage.engine_s >= 0
    assert bench.ends == [ended]


async def test_while_it_waits_or_works_it_gives_signs_of_life(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    working = await bench.begun()
    for name in ("BEAT_S", "TOLD_S"):
        monkeypatch.setattr(model_tier, name, 0.001)
    waiting = bench.ask()
    assert isinstance(await anext(working), Usage)  # after the sentence
    for events in (working, waiting):
        signs = [await anext(events) for _ in range(3)]
        assert all(isinstance(sign, Standing) for sign in signs)
    assert isinstance(sign := signs[-1], Standing)
    assert (sign.busy, sign.waiting["normal"]) == (1, 1)
    await working.aclose()
    await waiting.aclose()


async def test_what_a_model_has_used_is_told_soon_though_no_sentence_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_tier, "TOLD_S", 0.001)
    bench.model.talks = ("Well", " well", ". ")
    events = bench.ask()
    assert [type(await anext(events)) for _ in range(2)] == [Standing, Origin]
    used = await anext(events)
    assert isinstance(used, Usage)
    assert (used.prompt_tokens, used.completion_tokens) == (50, 3)
    bench.model.go_on.set()
    assert isinstance(await anext(events), VerifiedSentence)  # and not again what was told
    await events.aclose()


async def test_a_caller_that_leaves_while_it_is_served_stops_the_model_and_frees_the_slot(bench: Bench) -> None:
    events = await bench.begun()
    assert bench.model.running == 1
    await events.aclose()
    assert (bench.model.running, bench.queue.standing.busy) == (0, 0)
    assert [(end.how, end.usage.completion_tokens) for end in bench.ends] == [("left", 6)]


async def test_a_caller_that_leaves_while_it_waits_is_never_computed(bench: Bench) -> None:
    working, waiting = await bench.begun(), bench.ask()
    await anext(waiting)
    reading = asyncio.create_task(anext(waiting))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert bench.queue.standing.waiting["normal"] == 0
    bench.model.go_on.set()
    assert isinstance([event async for event in working][-1], Ended)
    assert bench.model.asked == 1


async def test_a_full_queue_is_said_at_once(evidence: list[Evidence]) -> None:
    bench = Bench(evidence, Model(), places=0)
    working = await bench.begun()
    assert (await bench.end()).how == "busy"
    await working.aclose()


async def test_a_request_that_has_no_time_left_is_not_computed(bench: Bench) -> None:
    assert (await bench.end(hurried(SPARE_S))).how == "late"
    assert bench.model.asked == 0


async def test_a_request_does_not_wait_past_the_time_that_an_answer_takes(bench: Bench) -> None:
    working = await bench.begun()
    bench.queue._turn_s = 50.0
    assert (await bench.end(hurried(20.0))).how == "late"
    assert bench.queue.standing.waiting["normal"] == 0
    await working.aclose()


async def test_what_is_not_done_in_time_is_cut_off_and_what_was_said_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_tier, "TOLD_S", 60.0)  # nothing is told in between
    events = [event async for event in bench.ask(hurried(SPARE_S + 3.0))]
    assert [type(event) for event in events] == [Standing, Origin, VerifiedSentence, Usage, Ended]
    assert isinstance(ended := events[-1], Ended)
    assert (ended.how, ended.usage.completion_tokens) == ("late", 6)
    assert (bench.model.running, bench.queue.standing.busy) == (0, 0)


@pytest.mark.parametrize(("error", "how"), [(Unavailable("gone"), "failed"), (InvalidInput("too long"), "too_long")])
async def test_an_engine_that_fails_is_an_end_and_no_exception(
    evidence: list[Evidence], error: Exception, how: str
) -> None:
    bench = Bench(evidence, Model(error))
    assert (await bench.end()).how == how
    assert bench.queue.standing.busy == 0


async def test_a_mistake_of_ours_is_not_hidden(evidence: list[Evidence]) -> None:
    bench = Bench(evidence, Model(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await bench.end()
    assert bench.queue.standing.busy == 0


async def test_a_short_answer_that_was_asked_for_bounds_the_model(bench: Bench) -> None:
    bench.model.go_on.set()
    assert [event async for event in bench.ask(wish=Wish(max_tokens=17))]
    assert bench.model.max_tokens == 17
    assert [event async for event in bench.ask(wish=Wish(max_tokens=4000))]
    assert bench.model.max_tokens == LIMITS["fast"].answer_tokens


async def test_an_engine_that_hangs_can_be_told_from_one_that_works(evidence: list[Evidence], bench: Bench) -> None:
    bench.tier.check()
    with pytest.raises(Unavailable):
        Bench(evidence, Model(Unavailable("hangs"))).tier.check()
