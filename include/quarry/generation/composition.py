"""A tier as the settings say it: its model, its engine's parallelism, and whether it is there at all."""

from collections.abc import Callable
from datetime import UTC, datetime

from include.quarry.catalog.releases import Release
from include.quarry.generation.answers import Ended
from include.quarry.generation.kserve import KServeModel
from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.model_files import find_model, is_there
from include.quarry.generation.model_tier import ModelTier, Writers
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE, LanguageModel, Origin, Tier
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


def default_release(tier: Tier, settings: Settings) -> Release:
    """What answers where no release was promoted: the settings' model with the prompt file. Raises `Misconfigured`."""
    prompt, model = PromptTemplate.load(), settings.deep_model if tier == "deep" else settings.fast_model
    return Release(DEFAULT_RELEASE, tier, model, prompt.version, prompt.text, "live", None, datetime.now(UTC), "")


def default_origin(tier: Tier, settings: Settings) -> Origin:
    """What answers of the default release say they are from. Raises `Misconfigured`."""
    release = default_release(tier, settings)
    return Origin(release.release_id, release.model, release.prompt_version)


def open_tier(
    tier: Tier, settings: Settings, writers: Writers | None = None, tell: Callable[[Ended], None] = lambda _: None
) -> ModelTier:
    """The tier over its writers; without any, with the settings' model loaded.

    Raises `Misconfigured`, and `Unavailable` for a model that was not fetched.
    """
    writers = writers or open_release(default_release(tier, settings), settings)
    queue = TierQueue(slots=_slots(tier, settings), places=settings.tier_places, turn_s=LIMITS[tier].turn_s)
    return ModelTier(tier, writers, queue, tell=tell)


def open_release(
    release: Release, settings: Settings, model: LanguageModel | None = None, *, silence_s: float = 0.0
) -> Writer:
    """A release that can write, over a model that is loaded already, or else over its own.

    An engine that says nothing for `silence_s` is given up; 0 is what suits a tier that others stand by.

    Raises what `open_model` does, and `InvalidInput` for a template that is none.
    """
    prompt = PromptTemplate.parse(release.template)
    model = model or open_model(release.tier, release.model, settings, silence_s=silence_s)
    return Writer(model, prompt, LIMITS[release.tier], release_id=release.release_id)


def check_model(tier: Tier, name: str, settings: Settings) -> None:
    """Raise `Misconfigured` for a model that nothing here is known by, and `Unavailable` for one that was not fetched.

    What a server knows, it says when it is asked.
    """
    if tier == "fast" or not (settings.openai_url or settings.kserve_url):
        find_model(name, settings.models)


def open_model(tier: Tier, name: str, settings: Settings, *, silence_s: float = 0.0) -> LanguageModel:
    """A model as the tier's setting would name it. Raises `Misconfigured`, and `Unavailable` if it was not fetched."""
    if tier == "deep" and settings.openai_url:
        from include.quarry.generation.openai_compatible import OpenAICompatibleModel  # noqa: PLC0415 takes a second

        return OpenAICompatibleModel(
            settings.openai_url, model=name, key=settings.openai_key, timeout_s=silence_s or _SERVER_SILENCE_S
        )
    if tier == "deep" and settings.kserve_url:
        return KServeModel(settings.kserve_url, model=name, timeout_s=silence_s or _SERVER_SILENCE_S)
    return LlamaCppModel(
        find_model(name, settings.models),
        name=name,
        threads=settings.generation_threads,
        context_tokens=max(_CONTEXT_TOKENS, LIMITS[tier].prompt_tokens + LIMITS[tier].answer_tokens),
        parallel=_slots(tier, settings),
        silence_s=silence_s or _SILENCE_S,
    )


def _slots(tier: Tier, settings: Settings) -> int:
    return settings.deep_slots if tier == "deep" else settings.fast_slots
