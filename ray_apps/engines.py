"""The embedding engines of one process, as the settings want them: one per spec, loaded when first asked for."""

from collections.abc import Callable
from functools import cache

from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.protocol import Embedder
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec


def embedder_of(settings: Settings) -> Callable[[EmbeddingSpec], Embedder]:
    """A function that gives the engine of a spec."""

    @cache
    def load(spec: EmbeddingSpec) -> Embedder:
        embedder: Embedder = load_embedder(
            spec,
            engine=settings.embedding_engine,
            threads=settings.embedding_threads,
            cache=settings.home.absolute() / "models",
        )
        return embedder

    return load
