"""From a question to its answer: passages first, then sentences that they bear out. All APIs ask here."""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict

from include.quarry.gateway.retrieval_routes import RetrieveFrom
from include.quarry.gateway.schema import Answered, Ask, Cited, Said
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, VerifiedSentence
from include.quarry.generation.protocol import Tier
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval

AnswerFrom = Callable[[str, list[Hit], Tier], AsyncIterator[AnswerEvent]]
"""(question, hits, tier) -> verified sentences, then the whole answer."""
Asked = AsyncGenerator[Said | Answered]
"""Sentences as they are verified, then the answer."""


class Asking:
    """Answers questions over whatever retrieves and whatever generates."""

    def __init__(self, retrieve: RetrieveFrom, answer: AnswerFrom) -> None:
        self._retrieve = retrieve
        self._answer = answer

    async def ask(self, body: Ask, tenant: str) -> Asked:
        """The events of an answer. Retrieval is over when this returns, so what it raises can still be a status."""
        started = time.perf_counter()
        found = await self._retrieve(body.corpus, body.question, body.top_k, Scope(tenant, body.filters), None)
        return self._events(body, found, started)

    async def whole(self, body: Ask, tenant: str) -> Answered:
        """The answer."""
        async with aclosing(await self.ask(body, tenant)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return event
        raise RuntimeError("the generator ended without an answer")

    async def _events(self, body: Ask, found: Retrieval, started: float) -> Asked:
        events = self._answer(body.question, found.hits, body.tier)
        try:
            async for event in events:
                yield _said(event, found) if isinstance(event, VerifiedSentence) else _answered(event, found, started)
        finally:  # whoever leaves early ends the generation now, not when the collector comes by
            if isinstance(events, AsyncGenerator):
                await events.aclose()


def _said(sentence: VerifiedSentence, found: Retrieval) -> Said:
    return Said(text=sentence.text, citations=[_cited(citation, found.hits) for citation in sentence.citations])


def _answered(answer: Answer, found: Retrieval, started: float) -> Answered:
    total_ms = round((time.perf_counter() - started) * 1000, 1)
    return Answered(
        answer=answer.text,
        citations=[_cited(citation, found.hits) for citation in answer.citations],
        grounded=answer.grounded,
        tier=answer.tier,
        usage=asdict(answer.usage),
        index_version=found.index_version,
        query_id=uuid.uuid4().hex,
        timings_ms={"retrieve": found.timings_ms["total"], "generate": answer.timings_ms["total"], "total": total_ms},
    )


def _cited(citation: Citation, hits: Sequence[Hit]) -> Cited:
    """The citation with the words that it points at."""
    chunk = next(hit.chunk for hit in hits if hit.chunk.chunk_id == citation.chunk_id)
    before = chunk.passage.start
    words = chunk.passage.text[citation.start - before : citation.end - before]
    return Cited(**asdict(citation), title=chunk.title, text=words)
