"""A tier as the settings say it: its model, its engine's parallelism, and whether it is there at all."""

from collections.abc import Callable

from include.quarry.generation.answers import Ended
from include.quarry.generation.kserve import KServeModel
from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.model_files import find_model, is_there
from include.quarry.generation.model_tier import ModelTier
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import LanguageModel, Tier
from include.quarry.generation.queue import TierQueue
from include.quarry.generation.writing import LIMITS, Writer
from include.quarry.settings import Settings

_CONTEXT_TOKENS = 2048
_SILENCE_S = 5.0
_SERVER_SILENCE_S = 8.0
"""Where other tiers stand by, it is better to give a slow engine up than to wait for one that hangs."""


def absence_of(tier: Tier, settings: Settings) -> str:
    """Why the tier has no model here, to be read after its name; empty where it has one. Asked on every question."""
    if tier == "fast" or settings.openai_url or settings.kserve_url:
        return ""
    if not settings.deep_model:
        return "is switched off"
    return "" if is_there(settings.deep_model, settings.models) else "is not installed: `make deep-model` fetches it"


def open_tier(tier: Tier, settings: Settings, tell: Callable[[Ended], None] = lambda _: None) -> ModelTier:
    """The tier with its model loaded. Raises `Misconfigured`, and `Unavailable` for a model that was not fetched."""
    slots = settings.deep_slots if tier == "deep" else settings.fast_slots
    limits = LIMITS[tier]
    writer = Writer(_model(tier, settings, slots), PromptTemplate.load(), limits)
    queue = TierQueue(slots=slots, places=settings.tier_places, turn_s=limits.turn_s)
    return ModelTier(tier, writer, queue, tell=tell)


def _model(tier: Tier, settings: Settings, slots: int) -> LanguageModel:
    if tier == "deep" and settings.openai_url:
        from include.quarry.generation.openai_compatible import OpenAICompatibleModel  # noqa: PLC0415 takes a second

        return OpenAICompatibleModel(
            settings.openai_url, model=settings.deep_model, key=settings.openai_key, timeout_s=_SERVER_SILENCE_S
        )
    if tier == "deep" and settings.kserve_url:
        return KServeModel(settings.kserve_url, model=settings.deep_model, timeout_s=_SERVER_SILENCE_S)
    name = settings.deep_model if tier == "deep" else settings.fast_model
    path = find_model(name, settings.models)
    return LlamaCppModel(
        path,
        name=name,
        threads=settings.generation_threads,
        context_tokens=max(_CONTEXT_TOKENS, LIMITS[tier].prompt_tokens + LIMITS[tier].answer_tokens),
        parallel=slots,
        silence_s=_SILENCE_S,
    )
