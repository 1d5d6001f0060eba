"""A tier as a deployment: the queue and its engines in one replica. `Fast` and `Deep` are two of it and scale apart."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Sequence

from ray import serve

from include.quarry.catalog.database import Database
from include.quarry.errors import Unavailable
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import TierEvent
from include.quarry.generation.composition import absence_of, default_release, open_release, open_tier
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.model_tier import ModelTier
from include.quarry.generation.prices import read_prices
from include.quarry.generation.protocol import DEFAULT_RELEASE, Tier, Wish
from include.quarry.operations.installation import REPOSITORY
from include.quarry.records import Hit
from include.quarry.releases.held import HeldReleases
from include.quarry.settings import Settings
from ray_apps.generation.metrics import TierMetrics

logger = logging.getLogger(__name__)


@serve.deployment
class TierDeployment:
    """`answer` over a handle, as a stream, by the releases of the tier's route. The tier is opened as soon as the model
    of the live one is there."""

    def __init__(self, settings: Settings, tier: Tier) -> None:
        self._settings = settings
        self._name: Tier = tier
        self._opening: asyncio.Task[None] | None = None
        self._metrics = TierMetrics(tier, read_prices(REPOSITORY / settings.prices))
        self._releases = HeldReleases(
            Database(settings.catalog_url),
            default_release(tier, settings),
            lambda release, model: open_release(release, settings, model),
        )
        self._tier = open_tier(tier, settings, self._releases, self._metrics.ended)

    async def check_health(self) -> None:
        """Asked by Serve. Opens the tier when its model has come, and ends a replica whose engine hangs."""
        if await self._absence():
            return
        tier = await self._open()
        if not self._releases.is_alive():
            raise RuntimeError("the tier's route is not followed any more")
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
        if absence := await self._absence():
            raise Unavailable(f"{self._name} {absence}")
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(self._releases.begin())
        await asyncio.shield(self._opening)  # whoever leaves meanwhile does not stop it
        return self._tier

    async def _absence(self) -> str:
        """Why the tier cannot be opened; empty once it is, and where another release than the settings' is live."""
        if self._opening is not None and _succeeded(self._opening):
            return ""
        absence = absence_of(self._name, self._settings)
        return absence if absence and await self._releases.live() == DEFAULT_RELEASE else ""


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
