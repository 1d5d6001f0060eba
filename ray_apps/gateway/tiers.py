"""A tier behind a Serve handle. One that is gone or silent is given up soon, and asked again after a moment."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import grpc
from ray.exceptions import RayTaskError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Ended, TierEvent
from include.quarry.generation.evidence import Evidence
from include.quarry.generation.protocol import Wish
from include.quarry.generation.tier_choice import SILENT
from ray_apps.gateway.remote import unwrapped

logger = logging.getLogger(__name__)
FIRST_S = 2.0
"""A tier that is there says so within milliseconds; without a replica the handle would wait for one without end."""
SILENCE_S = 5.0
"""A tier that is at work says something every second."""
REST_S = 1.0
"""A tier that was given up is not asked for that long, and then by one question at a time until it answers."""


class RemoteTier:
    """See `AnswerTier`. `absent` tells why the tier has no model, if so."""

    def __init__(self, handle: DeploymentHandle[Any], absent: Callable[[], str]) -> None:
        self._handle = handle.options(stream=True)
        self._absent = absent
        self._rests_until = 0.0
        self._failed = False

    @property
    def absence(self) -> str:
        return SILENT if time.monotonic() < self._rests_until else self._absent()

    async def answer(
        self, question: str, evidence: Sequence[Evidence], wish: Wish, visit: Visit
    ) -> AsyncGenerator[TierEvent]:
        if self._failed:
            self._rests_until = time.monotonic() + FIRST_S  # the others go on without it meanwhile
        hits = [passage.hit for passage in evidence]
        events = cast(DeploymentResponseGenerator[TierEvent], self._handle.answer.remote(question, hits, wish, visit))
        patience_s = FIRST_S
        try:
            with unwrapped():
                while True:
                    async with asyncio.timeout(patience_s):
                        event = await anext(events)
                    self._failed, self._rests_until, patience_s = False, 0.0, SILENCE_S
                    yield event
                    if isinstance(event, Ended):
                        return
        except (RayTaskError, Misconfigured) as error:  # it lives, and may have an answer to the next question
            self._failed, self._rests_until = False, 0.0
            logger.exception("a tier failed by an error that it does not tell of; the next tier answers")
            raise Unavailable(f"{type(error).__name__} in the tier; the next tier answers") from error
        except (StopAsyncIteration, TimeoutError, grpc.aio.AioRpcError, Unavailable) as error:
            self._failed, self._rests_until = True, time.monotonic() + REST_S
            raise Unavailable(f"no sign of life ({type(error).__name__}); the next tier answers") from error
        finally:
            events.cancel()  # type: ignore[no-untyped-call]
