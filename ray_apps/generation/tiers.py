"""The models of the tiers, as the settings name them."""

from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.model_files import find_model, is_there
from include.quarry.generation.openai_compatible import OpenAICompatibleModel
from include.quarry.generation.protocol import LanguageModel, Tier
from include.quarry.settings import Settings


def load_tiers(settings: Settings) -> dict[Tier, LanguageModel]:
    """One model per tier; the deep tier may be missing, or live on a server."""
    tiers: dict[Tier, LanguageModel] = {"fast": _in_process(settings.fast_model, settings)}
    if settings.openai_url:
        tiers["deep"] = OpenAICompatibleModel(settings.openai_url, model=settings.deep_model, key=settings.openai_key)
    elif settings.deep_model and is_there(settings.deep_model, settings.models):
        tiers["deep"] = _in_process(settings.deep_model, settings)
    return tiers


def _in_process(model: str, settings: Settings) -> LlamaCppModel:
    path = find_model(model, settings.models)
    return LlamaCppModel(path, name=model, threads=settings.generation_threads)
