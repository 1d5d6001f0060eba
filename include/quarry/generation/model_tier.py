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
from include.quarry.generation.protocol import Tier, Wish
from include.quarry.generation.queue import TierQueue
from include.quarry.generation.writing import Writer

BEAT_S = 1.0
"""A tier that has nothing else to say tells every so often how busy it is."""
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
        yield self._queue.standing
        events = read_ahead(
            self._work(question, Draft(evidence), wish, visit), idle=lambda: self._queue.standing, idle_s=BEAT_S
        )
        async with aclosing(events):
            async for event in events:
                yield event

    async def _work(self, question: str, draft: Draft, wish: Wish, visit: Visit) -> AsyncGenerator[TierEvent]:
        """All sentences and the end, within the visit's deadline less what an answer without a model needs.

        Nobody waits in the queue until there is no time left for what a turn takes.
        """
        caller, came, started = visit.caller, time.monotonic(), 0.0
        ends_s = came + visit.deadline.remaining_s() - SPARE_S
        ended = Ended("left")
        try:
            async with self._queue.turn(caller.tenant, caller.priority, ends_s - self._queue.standing.turn_s):
                started = time.monotonic()
                async with asyncio.timeout(ends_s - started):
                    await asyncio.sleep(0)  # so that nothing is begun when the time is over already
                    writer = self._writers.choose(caller.tenant, question)
                    yield writer.origin
                    async with aclosing(writer.write(question, draft, wish.max_tokens)) as sentences:
                        async for sentence in sentences:
                            yield sentence
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
            now = time.monotonic()
            used = replace(draft.usage, engine_s=round(now - started, 3) if started else 0.0)
            ended = replace(ended, usage=used, waited_s=(started or now) - came)
            self._tell(ended)
        yield ended
