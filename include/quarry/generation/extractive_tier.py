"""The last tier: the passages' own sentences. It needs no model, so it is there whenever the process is."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence

from include.quarry.errors import DeadlinePassed, Full
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Draft, Ended, TierEvent
from include.quarry.generation.evidence import Evidence
from include.quarry.generation.extractive import extract_answer
from include.quarry.generation.grounding import Support
from include.quarry.generation.protocol import Wish
from include.quarry.generation.queue import TierQueue
from include.quarry.generation.relevance import Rarity

WAITING = 32
"""Requests of each class that wait; an extract takes a millisecond, so that is a machine with too much to do."""


class ExtractiveTier:
    """One extract at a time, on a thread."""

    def __init__(self, rarity: Rarity | None = None) -> None:
        self._rarity = rarity
        self._queue = TierQueue(slots=1, places=WAITING)

    @property
    def absence(self) -> str:
        """See `AnswerTier`."""
        return ""

    async def answer(
        self, question: str, evidence: Sequence[Evidence], wish: Wish, visit: Visit
    ) -> AsyncGenerator[TierEvent]:
        """See `AnswerTier`."""
        draft, caller = Draft(evidence), visit.caller
        came = time.monotonic()
        try:
            async with self._queue.turn(caller.tenant, caller.priority, came + visit.deadline.remaining_s()):
                extracts = await asyncio.to_thread(extract_answer, question, evidence, rarity=self._rarity)
        except Full:
            yield Ended("busy")
            return
        except DeadlinePassed:
            yield Ended("late")
            return
        for extract in extracts:
            place = extract.statement
            support = Support(extract.marker, place.start, place.end, extract.score)
            if sentence := draft.add(place.text, (support,)):
                yield sentence
        yield Ended("done")
