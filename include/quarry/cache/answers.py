"""Answers that are remembered: what was said to a question, said again for as long as it would be read off the same
passages by the same models.

An answer is made of the question, of the passages that were found for it, and of nothing else of the corpus. Every
question is searched for, hit or not, and the key holds the very passages that the search has just found: their texts,
places, titles, versions and order, with tenant, corpus, filters and index version. So whatever change makes a search
find something else, be it an update or a delete of what was cited, or a new document that belongs among it, makes the
kept answer unreachable in the moment in which the search shows it; and no other change does. A watermark or the name of
the tenant's holding instead would be no fresher, and would forget all answers of a tenant with each of its uploads.
The search is what a hit costs, and that has a cache of its own.

Besides, the key holds what was wished, the plan, which the choice of a tier goes by, and who would answer: each tier's
release for this tenant and question, which is a model and a prompt, or why it has none. What says that it is of another
release than its key holds is not kept.

Kept are answers as they always should be: of the tier that the question is for, to their end, or its word that the
passages hold no answer. Not those of a tier that stood in for another one that was full, late, silent or broken, not
the passages' own sentences, nor what was made of results from which a shard is missing. Equal questions at once are
answered once, whoever of the askers leaves; who hears first of what was used pays it, the others have it for nothing.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from time import perf_counter
from typing import NamedTuple
from weakref import WeakValueDictionary

from include.quarry.cache.counts import Counts
from include.quarry.cache.kept_answers import FORMAT, KeptAnswer
from include.quarry.cache.keys import key_of
from include.quarry.cache.layers import Layers
from include.quarry.cache.told import Told
from include.quarry.errors import InvalidInput
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Spent, VerifiedSentence
from include.quarry.generation.evidence import EVIDENCE_HITS
from include.quarry.generation.protocol import Tier, Usage, Wish
from include.quarry.records import Hit
from include.quarry.retrieval.retriever import Retrieval

_PATIENCE_S = 1.0
"""How much earlier than one's own deadline those may end whose answer one waits for."""

Making = Callable[[], AsyncGenerator[AnswerEvent]]
Makers = Callable[[str, str], Mapping[Tier, str]]
"""Who would answer this tenant this question: each tier's release, as the text of an `Origin`, or why none would."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as the search and the tiers were told."""

    text: str
    corpus: str
    filters: Mapping[str, str]
    wish: Wish


class Opened(NamedTuple):
    """The events of an answer, and what the cache had to do with it, in the words of the header Cache-Status."""

    events: AsyncGenerator[AnswerEvent]
    cache: str = ""


@dataclass(eq=False)
class _Flight:
    """An answer in the making, and until when that may go on; how much of it somebody has heard, and paid for."""

    told: Told[AnswerEvent]
    deadline: Deadline
    heard: int = 0
    paid: Spent = field(default_factory=Spent)

    def takes(self, visit: Visit) -> bool:
        """Whether a visitor may wait for this one; not for what ends long before the visitor's own time does."""
        return not self.told.is_over and self.deadline.remaining_s() >= visit.deadline.remaining_s() - _PATIENCE_S


class CachedAnswers:
    """Answers questions, out of the cache where that is right. To be used on one event loop."""

    def __init__(self, layers: Layers, counts: Counts, makers: Makers) -> None:
        self._layers = layers
        self._counts = counts
        self._makers = makers
        self._flights: WeakValueDictionary[tuple[str, str], _Flight] = WeakValueDictionary()

    async def open(self, question: Question, found: Retrieval, visit: Visit, make: Making) -> Opened:
        """The answer to a question for which this was found; `make` makes it. Raises what `make` raises when called."""
        began = perf_counter()
        if visit.caching == "avoid" or found.shards_missing:
            self._counts.skipped += 1
            return Opened(make(), "fwd=request" if visit.caching == "avoid" else "fwd=bypass")
        makers = self._makers(visit.caller.tenant, question.text)
        key = _key(question, found, visit, makers)
        if visit.caching == "use" and (kept := await self._kept(key)) is not None:
            self._counts.hits += 1
            return Opened(_tell(kept, began), "hit")
        reason = "fwd=request" if visit.caching == "renew" else "fwd=uri-miss"
        flight = self._flights.get((key, visit.caller.priority))
        joins = flight is not None and flight.takes(visit)
        if flight is None or not joins:
            flight = _Flight(Told(self._keeping(key, makers, make())), visit.deadline)
            self._flights[key, visit.caller.priority] = flight
        self._counts.misses += 1
        self._counts.collapsed += joins
        return Opened(_share(flight), f"{reason}; collapsed" if joins else reason)

    async def _kept(self, key: str) -> KeptAnswer | None:
        value = await self._layers.get(key)
        if value is None:
            return None
        try:
            return KeptAnswer.from_bytes(value)
        except InvalidInput:
            return None

    async def _keeping(
        self, key: str, makers: Mapping[Tier, str], events: AsyncGenerator[AnswerEvent]
    ) -> AsyncGenerator[AnswerEvent]:
        """The events; what they tell is kept at their end."""
        sentences: list[VerifiedSentence] = []
        try:
            async for event in events:
                if isinstance(event, VerifiedSentence):
                    sentences.append(event)
                elif isinstance(event, Answer) and event.whole and str(event.origin) in makers.values():
                    self._counts.stored += 1
                    self._layers.keep(key, KeptAnswer(tuple(sentences), event).to_bytes())
                elif isinstance(event, Answer):
                    self._counts.unstored += 1
                yield event
        finally:
            await events.aclose()


async def _tell(kept: KeptAnswer, began: float) -> AsyncGenerator[AnswerEvent]:
    for sentence in kept.sentences:
        yield sentence
    ms = round((perf_counter() - began) * 1000, 3)
    yield replace(kept.answer, timings_ms={"cache": ms, "total": ms})


async def _share(flight: _Flight) -> AsyncGenerator[AnswerEvent]:
    """The events for one of those who wait. What was used since the event before is charged to the first of them who
    hears of it: so nothing is charged twice, and nothing goes unpaid where the first of them leaves."""
    events, heard, own = flight.told.listen(), 0, Spent()
    try:
        async for event in events:
            heard += 1
            if isinstance(event, VerifiedSentence):
                yield event
                continue
            if is_news := heard > flight.heard:
                so_far = event if isinstance(event, Spent) else Spent(event.spent, event.cost)
                own, flight.heard, flight.paid = own + (so_far - flight.paid), heard, so_far
            if isinstance(event, Spent):
                yield own
            else:
                is_free = not is_news and own.usage == Usage()
                yield replace(event, usage=own.usage, spent=own.by, cost=own.cost, kept=is_free)
    finally:
        await events.aclose()


def _key(question: Question, found: Retrieval, visit: Visit, makers: Mapping[Tier, str]) -> str:
    wish, caller = question.wish, visit.caller
    return key_of(
        f"answer/{FORMAT}",
        caller.tenant,
        caller.plan,
        question.corpus,
        question.text,
        str(len(question.filters)),
        *chain.from_iterable(sorted(question.filters.items())),
        wish.tier,
        str(wish.max_tokens),
        str(len(makers)),
        *chain.from_iterable(sorted(makers.items())),
        found.index_version,
        *_read(found.hits),
    )


def _read(hits: Sequence[Hit]) -> list[str]:
    """All that an answer can be read off, in the order in which the models are shown it."""
    parts: list[str] = []
    for hit in hits[:EVIDENCE_HITS]:
        chunk, passage = hit.chunk, hit.chunk.passage
        places = (chunk.doc_version, chunk.ordinal, passage.start, passage.end)
        parts += (chunk.key.tenant, chunk.key.doc_id, chunk.chunk_id, chunk.uri, chunk.title, passage.context)
        parts += (passage.text, *map(str, places))
    return parts
