"""Embeds texts of callers exactly as the live version of a corpus embeds its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import live_spec
from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.embedding.protocol import Embedder
from include.quarry.embedding.text_encoder import TextEncoder
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

_UNCUT_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of the texts, and how many tokens those have together, as the model counts them."""

    vectors: Vectors
    tokens: int


class LiveEmbedding:
    """Runs the embedding model of each corpus's live version. Blocks: call it on a thread."""

    def __init__(self, database: Database, embedder_of: Callable[[EmbeddingSpec], Embedder]) -> None:
        self._database = database
        self._embedder_of = embedder_of
        self._counter_of = cache(lambda spec: TextEncoder(find_model_folder(spec), _UNCUT_TOKENS))

    def embed(self, corpus: str, model: str, texts: Sequence[str]) -> Embedded:
        """The texts' vectors.

        Raises `NotFound` when the corpus has no live version or `model` is not its model, and `InvalidInput` for a
        text longer than the model reads: what it does not see must not pass for embedded.
        """
        spec = live_embedding(self._database, corpus)
        if model != spec.model:
            raise NotFound(f"model {model!r} does not embed corpus {corpus!r}; {spec.model!r} does")
        counts = [len(ids) for ids in self._counter_of(spec).token_ids(texts)]
        for place, count in enumerate(counts):
            if count > spec.max_tokens:
                raise InvalidInput(
                    f"input {place} has {count} tokens; {model} reads {spec.max_tokens}: send it in shorter pieces"
                )
        return Embedded(self._embedder_of(spec).encode(texts), sum(counts))


def live_embedding(database: Database, corpus: str) -> EmbeddingSpec:
    """How the live version of a corpus embeds. Raises `NotFound` where none is live."""
    with database.read() as connection:
        spec = live_spec(connection, corpus)
    if spec is None:
        raise NotFound(f"corpus {corpus!r} has no live index version; ingest documents, then run reindex_corpus")
    return spec.embedding
