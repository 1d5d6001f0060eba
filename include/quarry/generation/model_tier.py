"""One tier: a queue in front of its models. It tells what it does all the time, and always how it ended.

What can be expected to go wrong (a full queue, an engine that fails, a deadline) is an event and no exception, since
the caller goes on with the next tier. Whoever closes the events early frees the place or slot, and stops the engine.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from include.quarry.errors import DeadlinePassed, Full, InvalidInput, Misconfigured, Unavailable
from include.quarry.gateway.visit import Visit
from include.quarry.generation.ahead import read_ahead
from include.quarry.generation.answers import Draft, Ended, TierEvent
from include.quarry.generation.evidence import Evidence
from include.quarry.generation.protocol import Tier, Usage, Wish
from include.quarry.generation.queue import Standing, TierQueue
from include.quarry.generation.writing import Writer

BEAT_S = 1.0
"""A tier that has nothing else to say tells every so often how busy it is."""
TOLD_S = 0.1
"""So much of what was used, at most, is not known yet where a caller leaves."""
SPARE_S = 0.5
"""What is left of a request's time when a tier gives up, for an answer without a model."""

_log = logging.getLogger(__name__)


class Writers(Protocol):
    """Those who write for a tier; a single `Writer` is one."""

    def choose(self, tenant: str, question: str) -> Writer:
        """Who writes this answer, from now to its end."""
        ...

    def check(self) -> None:
        """Raise `Unavailable` when an engine hangs."""
        ...


class _Part:
    """A part in an answer: when it came, when its turn began (0 before), and what it has used."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self.draft = Draft(evidence)
        self.came_s = self._stood_s = time.monotonic()
        self.began_s = 0.0
        self._told: Usage | None = Usage()

    def used(self) -> Usage:
        """The model's tokens, and the seconds for which the slot was held."""
        held_s = time.monotonic() - self.began_s if self.began_s else 0.0
        return replace(self.draft.usage, engine_s=round(held_s, 3))

    def news(self, standing: Standing) -> Standing | Usage | None:
        """What is to be told now: how busy the tier is, or what was used; that whenever there are more tokens, and
        besides after each word on how busy it is, for the sake of the seconds."""
        if time.monotonic() - self._stood_s >= BEAT_S:
            self._stood_s, self._told = time.monotonic(), None
            return standing
        if not self.began_s or self.draft.usage == self._told:
            return None
        self._told = self.draft.usage
        return self.used()


class ModelTier:
    """Answers by its writers, as many questions at once as `queue` has slots.

    Who writes is chosen when the turn has come, so that nobody gets a release that was taken back while they waited;
    after that it stays so to the end of the answer. `tell` hears how each part in an answer ended, also of those whose
    caller left.
    """

    def __init__(
        self, name: Tier, writers: Writers, queue: TierQueue, *, tell: Callable[[Ended], None] = lambda _: None
    ) -> None:
        self._name = name
        self._writers = writers
        self._queue = queue
        self._tell = tell

    @property
    def queue(self) -> TierQueue:
        """Who waits, and how many are served."""
        return self._queue

    def check(self) -> None:
        """Raise `Unavailable` when an engine hangs."""
        self._writers.check()

    @property
    def absence(self) -> str:
        """See `AnswerTier`."""
        return ""

    async def answer(
        self, question: str, evidence: Sequence[Evidence], wish: Wish, visit: Visit
    ) -> AsyncGenerator[TierEvent]:
        """See `AnswerTier`."""
        part = _Part(evidence)
        yield self._queue.standing
        events = read_ahead(
            self._work(question, part, wish, visit), idle=lambda: part.news(self._queue.standing), idle_s=TOLD_S
        )
        async with aclosing(events):
            async for event in events:
                yield event

    async def _work(self, question: str, part: _Part, wish: Wish, visit: Visit) -> AsyncGenerator[TierEvent]:
        """All sentences and the end, within the visit's deadline less what an answer without a model needs.

        Nobody waits in the queue until there is no time left for what a turn takes.
        """
        caller, draft = visit.caller, part.draft
        ends_s = part.came_s + visit.deadline.remaining_s() - SPARE_S
        ended = Ended("left")
        try:
            async with self._queue.turn(caller.tenant, caller.priority, ends_s - self._queue.standing.turn_s):
                part.began_s = time.monotonic()
                async with asyncio.timeout(ends_s - part.began_s):
                    await asyncio.sleep(0)  # so that nothing is begun when the time is over already
                    writer = self._writers.choose(caller.tenant, question)
                    yield writer.origin
                    async with aclosing(writer.write(question, draft, wish.max_tokens)) as sentences:
                        async for sentence in sentences:
                            yield sentence
                            yield part.used()
                ended = Ended("refused" if draft.refused else "done")
        except Full:
            ended = Ended("busy")
        except (DeadlinePassed, TimeoutError):
            ended = Ended("late")
        except InvalidInput:
            ended = Ended("too_long")
        except (Misconfigured, Unavailable) as error:
            _log.warning("the %s tier failed: %s", self._name, error)
            ended = Ended("failed")
        finally:
            waited_s = (part.began_s or time.monotonic()) - part.came_s
            ended = replace(ended, usage=part.used(), waited_s=waited_s)
            self._tell(ended)
        yield ended
