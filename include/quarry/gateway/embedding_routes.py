"""POST /v1/embeddings: vectors in the space of the version that answers, as OpenAI's clients ask for them."""

import base64
from collections.abc import Awaitable, Callable
from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Response

from include.quarry.errors import InvalidInput
from include.quarry.gateway.door import Door
from include.quarry.gateway.openai_schema import Embed, Embeddings
from include.quarry.gateway.visit import Visit
from include.quarry.records import Float32
from include.quarry.routing.live_embedding import Embedded

EmbedFrom = Callable[[str, str, list[str], Visit], Awaitable[Embedded]]
"""(corpus, model, texts, visit) -> their vectors; raises `NotFound` for a model that is not the corpus's."""


def embedding_routes(embed: EmbedFrom, door: Door) -> APIRouter:
    """The route over whatever embeds."""
    router = APIRouter(tags=["for OpenAI's clients"])

    @router.post("/v1/embeddings", response_model=Embeddings, summary="Embed texts as the corpus is embedded")
    async def post_embeddings(body: Embed, visit: Annotated[Visit, Depends(door.admits("retrieve"))]) -> Response:
        texts = [body.input] if isinstance(body.input, str) else body.input
        async with visit.deadline.holds():
            embedded = await embed(body.corpus, body.model, texts, visit)
        dimensions = embedded.vectors.values.shape[1]
        if body.dimensions not in (None, dimensions):
            raise InvalidInput(f"dimensions is {body.dimensions}; {body.model} gives {dimensions}: leave it out")
        return Response(_encode(embedded, body), media_type="application/json")

    return router


def _encode(embedded: Embedded, body: Embed) -> bytes:
    """JSON straight from the vectors."""
    as_sent = _base64 if body.encoding_format == "base64" else _numbers
    data = [
        {"object": "embedding", "index": index, "embedding": as_sent(vector)}
        for index, vector in enumerate(embedded.vectors.values)
    ]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    found = {"object": "list", "data": data, "model": body.model, "usage": usage}
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def _numbers(vector: Float32) -> Float32:
    return np.ascontiguousarray(vector)


def _base64(vector: Float32) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
