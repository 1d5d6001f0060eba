"""A kept answer is one that would be given now: to the same question, off the same passages, by the same models."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from include.quarry.cache.answers import CachedAnswers, Opened, Question
from include.quarry.cache.counts import Counts
from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.errors import Full, Unavailable
from include.quarry.gateway.caller import Priority
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answering import Answerer
from include.quarry.generation.answers import DONT_KNOW, Answer, AnswerEvent, Spent, VerifiedSentence
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE, Origin, Tier, Usage, Wish
from include.quarry.records import Hit
from tests.door import visit
from tests.unit.cache.conftest import Replica, update
from tests.unit.generation.conftest import ScriptedModel, tiers_of

QUESTION = "Which stones are there?"
ORIGIN = Origin(DEFAULT_RELEASE, "scripted", PromptTemplate.load().version)


class Desk:
    """Asks a replica, and has its models answer, with the cache between."""

    def __init__(self, replica: Replica, layers: Layers | None = None) -> None:
        self.replica = replica
        self.counts = Counts()
        self.makers: dict[Tier, str] = {"fast": str(ORIGIN), "deep": "is not installed"}
        self.layers = layers or Layers(MemoryCache(10**7, 600))
        self.cached = CachedAnswers(self.layers, self.counts, lambda _tenant, _question: self.makers)
        self.model = ScriptedModel("Granite is a stone. Chalk is a stone. ")
        self.answerer = Answerer(tiers_of({"fast": self.model}))
        self.wraps: Callable[[AsyncGenerator[AnswerEvent]], AsyncGenerator[AnswerEvent]] = lambda events: events

    @property
    def made(self) -> int:
        return len(self.model.prompts)

    async def open(self, question: str = QUESTION, visit: Visit | None = None, **more: Any) -> Opened:
        visit = visit or of()
        filters: Mapping[str, str] = more.get("filters", {})
        wish, corpus = more.get("wish", Wish("fast")), more.get("corpus", "main")
        found = await self.replica.ask(question, visit.caller.tenant, filters=filters)
        found = replace(found, shards_missing=more.get("missing", ()))
        asked = Question(question, corpus, filters, wish)

        def make() -> AsyncGenerator[AnswerEvent]:
            return self.wraps(self.answerer.answer(question, found.hits, wish, visit))

        return await self.cached.open(asked, found, visit, make)

    async def ask(self, question: str = QUESTION, visit: Visit | None = None, **more: Any) -> tuple[str, list[Any]]:
        events, cache = await self.open(question, visit, **more)
        return cache, [event async for event in events if not isinstance(event, Spent)]


def of(tenant: str = "red", priority: Priority = "normal", **changes: Any) -> Visit:
    came = visit(tenant)
    return replace(came, caller=replace(came.caller, priority=priority), **changes)


async def held(closed: asyncio.Event, events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[AnswerEvent]:
    """The first event, and no more for as long as somebody waits."""
    try:
        yield await anext(events)
        await asyncio.Event().wait()
    finally:
        await events.aclose()
        closed.set()


@pytest.fixture
def desk(replica: Replica) -> Desk:
    return Desk(replica)


async def test_an_answer_is_told_again_as_it_was_told_and_costs_nothing(desk: Desk) -> None:
    (missed, first), (hit, again) = await desk.ask(), await desk.ask()
    assert (missed, hit, desk.made) == ("fwd=uri-miss", "hit", 1)
    assert {event.text for event in first[:-1]} == {"Granite is a stone [1].", "Chalk is a stone [2]."}
    assert again[:-1] == first[:-1]
    made, kept = first[-1], again[-1]
    assert (kept.text, kept.citations, kept.grounded, kept.tier, kept.tier_reason, kept.origin) == (
        *(made.text, made.citations, True, "fast", made.tier_reason),
        ORIGIN,
    )
    assert (made.kept, made.usage.prompt_tokens > 0) == (False, True)
    assert (kept.kept, kept.usage, kept.cost, kept.spent) == (True, Usage(), 0.0, {})
    assert (desk.counts.hits, desk.counts.misses, desk.counts.stored) == (1, 1, 1)


async def test_the_models_word_that_there_is_no_answer_is_kept_too(desk: Desk) -> None:
    desk.model.script = "I don't know."
    (_, first), (hit, again) = await desk.ask(), await desk.ask()
    assert (hit, first[-1].text, again[-1].text, again[-1].tier, desk.made) == ("hit", DONT_KNOW, DONT_KNOW, "none", 1)


async def test_delete_wins_over_a_cached_answer(desk: Desk) -> None:
    await desk.ask()
    desk.replica.apply(update("a", 3))
    cache, events = await desk.ask()
    assert (cache, events[-1].text) == ("fwd=uri-miss", "Chalk is a stone [1].")
    assert {citation.doc_id for citation in events[-1].citations} == {"b"}


@pytest.mark.parametrize(
    "change",
    [
        update("b", 3),
        update("b", 3, "Chalk is soft."),
        update("b", 3, "Chalk is a stone."),
        update("c", 3, "Slate is a stone."),
    ],
)
async def test_whatever_changes_what_is_found_makes_the_answer_anew(desk: Desk, change: Any) -> None:
    """Also what it did not cite, what says the same again, and what is new among it."""
    desk.model.script = "Granite is a stone. "
    await desk.ask()
    desk.replica.apply(change)
    assert [(await desk.ask())[0] for _ in range(2)] == ["fwd=uri-miss", "hit"]


async def test_what_is_beside_the_found_leaves_the_answer_alone(desk: Desk) -> None:
    await desk.ask(filters={"doc_id": "a"})
    desk.replica.apply(update("c", 3, "Slate is a stone."), update("a", 4, "Not mine.", tenant="blue"))
    assert (await desk.ask(filters={"doc_id": "a"}))[0] == "hit"


async def test_tenants_never_share_an_answer(desk: Desk) -> None:
    """Not even to the same question over the same texts."""
    desk.replica.apply(
        update("a", 1, "Granite is a stone.", tenant="blue"), update("b", 2, "Chalk is a stone.", tenant="blue")
    )
    await desk.ask()
    assert [(await desk.ask(visit=of("blue")))[0] for _ in range(2)] == ["fwd=uri-miss", "hit"]
    assert (await desk.ask(visit=of("green")))[1][-1].text == DONT_KNOW
    found = await desk.replica.ask(QUESTION)  # and if what is red's were found for green
    wish = Wish("fast")
    make = partial(desk.answerer.answer, QUESTION, found.hits, wish, of("green"))
    assert (await desk.cached.open(Question(QUESTION, "main", {}, wish), found, of(), make)).cache == "hit"
    assert (await desk.cached.open(Question(QUESTION, "main", {}, wish), found, of("green"), make)).cache != "hit"


@pytest.mark.parametrize(
    "other",
    [
        {"question": "Which stone is there?"},
        {"corpus": "notes"},
        {"filters": {"doc_id": "a"}},
        {"wish": Wish("auto")},
        {"wish": Wish("fast", 60)},
    ],
)
async def test_another_question_or_wish_is_another_answer(desk: Desk, other: dict[str, Any]) -> None:
    await desk.ask()
    assert [(await desk.ask(**other))[0] for _ in range(2)] == ["fwd=uri-miss", "hit"]


async def test_another_plan_is_another_answer(desk: Desk) -> None:
    await desk.ask()
    came = visit("red")
    assert (await desk.ask(visit=replace(came, caller=replace(came.caller, plan="trial"))))[0] == "fwd=uri-miss"


async def test_another_release_answers_anew(desk: Desk) -> None:
    await desk.ask()
    for tier, maker in (("fast", "fast-another"), ("deep", "deep-another")):
        desk.makers = desk.makers | {tier: maker}  # type: ignore[dict-item]
        assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_what_says_that_it_is_of_another_release_is_not_kept(desk: Desk) -> None:
    """A tier whose replicas are not yet, or no more, of the release that the gateway knows of."""
    desk.makers = {"fast": "fast-next"}
    assert [(await desk.ask())[0] for _ in range(2)] == ["fwd=uri-miss"] * 2
    assert desk.counts.unstored == 2


async def test_a_hundred_equal_misses_are_answered_once_and_one_pays(desk: Desk) -> None:
    asked = await asyncio.gather(*(desk.ask() for _ in range(100)))
    assert desk.made == 1
    assert (desk.counts.misses, desk.counts.collapsed, desk.counts.stored) == (100, 99, 1)
    assert sorted(cache for cache, _ in asked) == ["fwd=uri-miss"] + ["fwd=uri-miss; collapsed"] * 99
    assert {tuple(event.text for event in events) for _, events in asked} == {tuple(e.text for e in asked[0][1])}
    answers = [events[-1] for _, events in asked]
    assert sum(answer.usage.prompt_tokens > 0 for answer in answers) == 1
    assert sum(answer.kept for answer in answers) == 99


async def test_an_asker_who_leaves_leaves_the_answer_and_its_price_to_the_others(desk: Desk) -> None:
    first, second = (await desk.open()).events, (await desk.open()).events
    await anext(first)
    await anext(second)
    await first.aclose()
    rest = [event async for event in second]
    assert isinstance(rest[-1], Answer)
    assert (rest[-1].usage.prompt_tokens > 0, desk.made) == (True, 1)


async def test_who_leaves_has_paid_for_what_was_told_and_the_rest_is_paid_once(desk: Desk) -> None:
    first, second = (await desk.open()).events, (await desk.open()).events
    heard: list[AnswerEvent] = []
    while not isinstance(event := await anext(first), Spent):
        heard.append(event)
    left = event
    assert left.usage.completion_tokens > 0
    await first.aclose()
    rest = [event async for event in second]
    answer = rest[-1]
    assert isinstance(answer, Answer)
    alone = (await desk.ask(visit=of(caching="avoid")))[1][-1]
    both = left.usage + answer.usage
    assert (both.prompt_tokens, both.completion_tokens) == (
        alone.usage.prompt_tokens,
        alone.usage.completion_tokens,
    )
    assert (left.usage.prompt_tokens, answer.usage.prompt_tokens, answer.kept) == (100, 0, False)
    told = [event for event in rest if isinstance(event, Spent)]
    assert told[-1].usage == answer.usage


async def test_what_nobody_waits_for_any_more_is_neither_made_nor_kept(desk: Desk) -> None:
    closed = asyncio.Event()
    desk.wraps = partial(held, closed)
    left = (await desk.open()).events
    await anext(left)
    await left.aclose()
    assert closed.is_set()
    desk.wraps = lambda events: events
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_nobody_waits_for_who_has_less_haste_or_less_time(desk: Desk) -> None:
    desk.wraps = partial(held, asyncio.Event())
    for late in (of(priority="urgent"), of(priority="batch", deadline=Deadline(600))):
        waits = (await desk.open(visit=of(priority="batch"))).events
        await anext(waits)
        assert (await desk.open(visit=late)).cache == "fwd=uri-miss"
        await waits.aclose()


@pytest.mark.parametrize("script", ["Granite is a bird. ", ""])
async def test_the_passages_own_sentences_are_not_kept(desk: Desk, script: str) -> None:
    desk.model.script = script
    _, events = await desk.ask()
    assert events[-1].tier == "extractive"
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_an_answer_that_broke_off_is_not_kept(desk: Desk) -> None:
    desk.model = ScriptedModel("Granite is a stone. Chalk is a stone. ", fails_after=5)
    desk.answerer = Answerer(tiers_of({"fast": desk.model}))
    _, events = await desk.ask()
    assert (events[-1].tier, events[-1].text) == ("fast", "Granite is a stone [1].")
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_an_answer_of_a_tier_that_stood_in_is_not_kept(desk: Desk) -> None:
    _, events = await desk.ask(wish=Wish("deep"))
    assert (events[-1].tier, events[-1].tier_reason) == ("fast", "deep was asked for; deep is not there")
    assert (await desk.ask(wish=Wish("deep")))[0] == "fwd=uri-miss"


async def test_an_answer_to_a_part_of_the_results_is_not_kept(desk: Desk) -> None:
    assert (await desk.ask(missing=(1,)))[0] == "fwd=bypass"
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_an_error_is_not_kept_and_a_refusal_comes_at_once(desk: Desk) -> None:
    async def broken(events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[AnswerEvent]:
        await events.aclose()
        raise Unavailable("gone")
        yield VerifiedSentence("", ())

    def full(_events: object) -> AsyncGenerator[AnswerEvent]:
        raise Full("all answers that may be are in the making")

    desk.wraps = broken
    with pytest.raises(Unavailable):
        await desk.ask()
    desk.wraps = full
    with pytest.raises(Full):
        await desk.open()
    desk.wraps = lambda events: events
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_who_wants_no_cache_is_answered_past_it(desk: Desk) -> None:
    await desk.ask()
    assert (await desk.ask(visit=of(caching="avoid")))[0] == "fwd=request"
    assert (await desk.ask(visit=of(caching="renew")))[0] == "fwd=request"
    assert (desk.made, (await desk.ask())[0]) == (3, "hit")


async def test_a_value_that_cannot_be_read_is_a_miss(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.layers.memory, "look", lambda _key: b'[[["a"]], 1]')
    assert (await desk.ask())[0] == "fwd=uri-miss"


async def test_what_is_beyond_what_an_answer_reads_does_not_matter(desk: Desk) -> None:
    """Eight passages are read; another ninth changes nothing."""
    desk.model.script = "I don't know."
    texts = [f"Stone number {number} is a stone." for number in range(12)]
    desk.replica.apply(*(update(f"s{number}", 3 + number, text) for number, text in enumerate(texts)))
    found = list((await desk.replica.ask(QUESTION)).hits)
    assert len(found) > 9
    read: list[list[Hit]] = [found[:8], found[:9], found[:7]]
    statuses = []
    for hits in read:
        retrieval = replace(await desk.replica.ask(QUESTION), hits=hits)
        make = partial(desk.answerer.answer, QUESTION, hits, Wish("fast"), of())
        opened = await desk.cached.open(Question(QUESTION, "main", {}, Wish("fast")), retrieval, of(), make)
        statuses.append(opened.cache)
        assert [event async for event in opened.events]
    assert statuses == ["fwd=uri-miss", "hit", "fwd=uri-miss"]
