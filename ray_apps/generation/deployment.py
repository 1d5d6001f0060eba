"""The generation deployment: the tiers' models, and the check that every sentence has its passage."""

from collections.abc import AsyncIterator

from ray import serve

from include.quarry.gateway.deadline import until
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answering import Answerer
from include.quarry.generation.answers import AnswerEvent
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import Tier
from include.quarry.records import Hit
from include.quarry.settings import Settings
from ray_apps.generation.tiers import load_tiers


@serve.deployment(name="Generation")
class GenerationDeployment:
    """`answer` over a handle, as a stream."""

    def __init__(self, settings: Settings) -> None:
        self._answerer = Answerer(load_tiers(settings), PromptTemplate.load())

    async def check_health(self) -> None:
        """Asked by Serve, and by whoever wants to know whether the models are loaded."""

    async def answer(self, question: str, hits: list[Hit], tier: Tier, visit: Visit) -> AsyncIterator[AnswerEvent]:
        """Verified sentences as they are completed, then the whole answer; `DeadlinePassed` when it comes too late."""
        async for event in until(visit.deadline, self._answerer.answer(question, hits, tier)):
            yield event
