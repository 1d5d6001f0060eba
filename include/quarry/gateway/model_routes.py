"""GET /v1/models: the names that OpenAI's clients may use."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from include.quarry.errors import NotFound
from include.quarry.gateway.conversation import MODELS
from include.quarry.gateway.door import Door
from include.quarry.gateway.openai_schema import Model, Models
from include.quarry.gateway.schema import Name

_SINCE = 1_764_028_800  # clients want to know when a model was made; these names are of 2025-11-25
EmbeddingModelOf = Callable[[str], Awaitable[str]]
"""(corpus) -> the name of its live version's embedding model; raises `NotFound` where nothing is live."""

Corpus = Annotated[Name, Query(description="corpus whose embedding model is listed")]


def model_routes(embedding_model_of: EmbeddingModelOf, door: Door) -> APIRouter:
    """The routes over whatever knows which model embeds."""
    router = APIRouter(tags=["for OpenAI's clients"])
    visitor = Depends(door.admits("retrieve"))

    @router.get("/v1/models", summary="Tiers, and the embedding model of a corpus", dependencies=[visitor])
    async def get_models(corpus: Corpus = "main") -> Models:
        return Models(data=await listed(corpus))

    @router.get("/v1/models/{model:path}", summary="One of them", dependencies=[visitor])
    async def get_model(model: str, corpus: Corpus = "main") -> Model:
        models = await listed(corpus)
        for each in models:
            if each.id == model:
                return each
        raise NotFound(f"no model {model[:100]!r}; there are {', '.join(each.id for each in models)}")

    async def listed(corpus: str) -> list[Model]:
        names = [*MODELS]
        with suppress(NotFound):  # nothing is live yet
            names.append(await embedding_model_of(corpus))
        return [Model(id=name, created=_SINCE) for name in names]

    return router
