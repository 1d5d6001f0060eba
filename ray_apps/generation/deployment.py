"""A tier as a deployment: the queue and its engine in one replica. `Fast` and `Deep` are two of it, and scale apart."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Sequence

from ray import serve

from include.quarry.errors import Unavailable
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import TierEvent
from include.quarry.generation.composition import absence_of, open_tier
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.model_tier import ModelTier
from include.quarry.generation.prices import read_prices
from include.quarry.generation.protocol import Tier, Wish
from include.quarry.operations.installation import REPOSITORY
from include.quarry.records import Hit
from include.quarry.settings import Settings
from ray_apps.generation.metrics import TierMetrics

logger = logging.getLogger(__name__)


@serve.deployment
class TierDeployment:
    """`answer` over a handle, as a stream. The tier is opened as soon as its model is there."""

    def __init__(self, settings: Settings, tier: Tier) -> None:
        self._settings = settings
        self._name: Tier = tier
        self._opening: asyncio.Task[ModelTier] | None = None
        self._metrics = TierMetrics(tier, read_prices(REPOSITORY / settings.prices))

    async def check_health(self) -> None:
        """Asked by Serve. Opens the tier when its model has come, and ends a replica whose engine hangs."""
        if absence_of(self._name, self._settings):
            return
        tier = await self._open()
        self._metrics.stands(tier.queue.standing)
        try:
            tier.check()
        except Unavailable as error:
            # Its threads cannot be stopped, so neither can this process in good order. Serve starts another at once.
            logger.error("%s: this replica ends itself", error)
            os.kill(os.getpid(), signal.SIGKILL)

    async def answer(self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit) -> AsyncGenerator[TierEvent]:
        """See `AnswerTier`. Raises `Unavailable` while there is no model."""
        tier = await self._open()
        async for event in tier.answer(question, read_evidence(hits), wish, visit):
            yield event

    async def _open(self) -> ModelTier:
        if absence := absence_of(self._name, self._settings):
            raise Unavailable(f"{self._name} {absence}")
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            opening = asyncio.to_thread(open_tier, self._name, self._settings, self._metrics.ended)
            self._opening = asyncio.create_task(opening)
        return await asyncio.shield(self._opening)  # whoever leaves meanwhile does not stop it


def _succeeded(task: asyncio.Task[ModelTier]) -> bool:
    return not task.cancelled() and task.exception() is None
