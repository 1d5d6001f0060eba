"""From a question to its answer: passages first, then sentences that they bear out. All APIs ask here."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import NamedTuple

from include.quarry.cache.answers import CachedAnswers, Opened, Question
from include.quarry.errors import QuarryError
from include.quarry.gateway.deadline import until
from include.quarry.gateway.retrieval_routes import RetrieveFrom
from include.quarry.gateway.schema import Answered, Ask, Cited, FoundPassage, Said, WrittenBy
from include.quarry.gateway.visit import Visit
from include.quarry.generation.ahead import read_ahead
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, Spent, VerifiedSentence
from include.quarry.generation.protocol import Wish
from include.quarry.records import Hit
from include.quarry.retrieval.encoding import passage_of
from include.quarry.retrieval.retriever import Retrieval

AnswerFrom = Callable[[str, Sequence[Hit], Wish, Visit], AsyncGenerator[AnswerEvent]]
"""(question, hits, wish, visit) -> verified sentences, then the whole answer; what it refuses, it refuses at once."""


class Asked(NamedTuple):
    """Sentences as they are verified, then the answer; and the headers of the response that holds them."""

    events: AsyncGenerator[Said | Answered]
    headers: dict[str, str]


class Whole(NamedTuple):
    """An answer, and the headers of the response that holds it."""

    answered: Answered
    headers: dict[str, str]


class Asking:
    """Answers questions over whatever retrieves and whatever generates, out of the cache if there is one."""

    def __init__(self, retrieve: RetrieveFrom, answer: AnswerFrom, cached: CachedAnswers | None = None) -> None:
        self._retrieve = retrieve
        self._answer = answer
        self._cached = cached

    async def ask(self, body: Ask, visit: Visit) -> Asked:
        """The events of an answer. Retrieval is over when this returns, so what it raises can still be a status.

        The answer is made at its own pace, and waits for the one who reads it. Raises `Forbidden` for a higher priority
        than the caller's own.
        """
        started = time.perf_counter()
        if body.priority is not None:
            visit = replace(visit, caller=visit.caller.lowered(body.priority))
        scope = visit.caller.sees(body.filters)
        async with visit.deadline.holds():
            found = await self._retrieve(body.corpus, body.question, body.top_k, scope, visit, min_seq=body.min_seq)
        visit.notes.found("answer", body.corpus, body.question, found)
        opened = await self._open(body, found, visit)
        answer = _noted(until(visit.deadline, opened.events), visit)
        headers = {"Cache-Status": f"quarry; {opened.cache}"} if opened.cache else {}  # RFC 9211
        return Asked(self._events(read_ahead(answer), found, visit, started), headers)

    async def whole(self, body: Ask, visit: Visit) -> Whole:
        """The answer."""
        asked = await self.ask(body, visit)
        async with aclosing(asked.events) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return Whole(event, asked.headers)
        raise RuntimeError("the generator ended without an answer")

    async def _open(self, body: Ask, found: Retrieval, visit: Visit) -> Opened:
        wish = Wish(body.tier, body.max_tokens)

        def make() -> AsyncGenerator[AnswerEvent]:
            return self._answer(body.question, found.hits, wish, visit)

        if self._cached is None:
            return Opened(make())
        return await self._cached.open(Question(body.question, body.corpus, body.filters, wish), found, visit, make)

    async def _events(
        self, answer: AsyncGenerator[VerifiedSentence | Answer], found: Retrieval, visit: Visit, started: float
    ) -> AsyncGenerator[Said | Answered]:
        try:
            async with aclosing(answer) as events:  # whoever leaves early ends the generation now
                async for event in events:
                    if isinstance(event, VerifiedSentence):
                        yield _said(event, found)
                    else:
                        yield _answered(event, found, visit, started)
        except QuarryError as error:
            visit.notes.note(outcome=f"failed: {error.title}")
            raise


async def _noted(events: AsyncGenerator[AnswerEvent], visit: Visit) -> AsyncGenerator[VerifiedSentence | Answer]:
    """The events but what was used so far. That, and the answer, are noted when they are there, not when they are read:
    whoever leaves meanwhile is charged for them."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Spent):
                visit.notes.spent(event)
                continue
            if isinstance(event, Answer):
                visit.notes.answered(event)
            yield event


def _said(sentence: VerifiedSentence, found: Retrieval) -> Said:
    return Said(text=sentence.text, citations=[_cited(citation, found.hits) for citation in sentence.citations])


def _answered(answer: Answer, found: Retrieval, visit: Visit, started: float) -> Answered:
    total_ms = round((time.perf_counter() - started) * 1000, 1)
    return Answered(
        answer=answer.text,
        citations=[_cited(citation, found.hits) for citation in answer.citations],
        grounded=answer.grounded,
        tier=answer.tier,
        tier_reason=answer.tier_reason,
        release=WrittenBy(**asdict(answer.origin)) if answer.origin else None,
        usage=asdict(answer.usage),
        cost=answer.cost,
        cached=answer.kept,
        passages=[FoundPassage(**passage_of(hit)) for hit in answer.passages],
        index_version=found.index_version,
        query_id=visit.query_id,
        timings_ms={
            "retrieve": found.timings_ms["total"],
            **{name: answer.timings_ms[name] for name in ("queue", "first_sentence") if name in answer.timings_ms},
            "generate": answer.timings_ms["total"],
            "total": total_ms,
        },
    )


def _cited(citation: Citation, hits: Sequence[Hit]) -> Cited:
    """The citation with the words that it points at."""
    chunk = next(hit.chunk for hit in hits if hit.chunk.chunk_id == citation.chunk_id)
    before = chunk.passage.start
    words = chunk.passage.text[citation.start - before : citation.end - before]
    return Cited(**asdict(citation), title=chunk.title, text=words)
