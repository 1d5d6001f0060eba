from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import pytest

from include.quarry.errors import Unavailable
from include.quarry.generation.answering import AnswerTier
from include.quarry.generation.model_tier import ModelTier
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import Delta, LanguageModel, Message, Tier, Usage
from include.quarry.generation.queue import TierQueue
from include.quarry.generation.writing import LIMITS, Writer
from include.quarry.records import Chunk, DocumentKey, Hit, Passage

MakeHit = Callable[..., Hit]


def tiers_of(models: Mapping[Tier, LanguageModel]) -> dict[Tier, AnswerTier]:
    """Tiers in this process, each with a queue of its own."""
    prompt = PromptTemplate.load()
    return {
        tier: ModelTier(tier, Writer(model, prompt, LIMITS[tier]), TierQueue(slots=1, places=8))
        for tier, model in models.items()
    }


@pytest.fixture
def make_hit() -> MakeHit:
    def make(text: str, *, title: str = "notes", start: int = 0, context: str = "", chunk_id: str = "") -> Hit:
        key = DocumentKey("main", "acme", f"doc-{title}")
        passage = Passage(text, context, start, start + len(text), len(text) // 4)
        chunk = Chunk(chunk_id or f"{title}@{start}", key, 1, 0, f"file:///{title}.md", title, passage, {})
        return Hit(chunk, 1.0, {"dense": 1})

    return make


class ScriptedModel:
    """A model that says a script, in pieces of a few characters; `fails_after` pieces it becomes unavailable."""

    name = "scripted"

    def __init__(self, script: str, *, fails_after: int | None = None, piece: int = 5) -> None:
        self.script = script
        self.fails_after = fails_after
        self.prompts: list[Sequence[Message]] = []
        self.said = ""
        self._piece = piece

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta]:
        self.prompts.append(messages)
        pieces = [self.script[at : at + self._piece] for at in range(0, len(self.script), self._piece)]
        for count, piece in enumerate(pieces):
            if count == self.fails_after:
                raise Unavailable("the engine is gone; try again")
            self.said += piece
            yield Delta(piece, Usage(100, count + 1))
        if self.fails_after is not None:
            raise Unavailable("the engine is gone; try again")
        yield Delta("", Usage(100, len(pieces)))

    def check(self) -> None:
        pass


@pytest.fixture
def scripted() -> type[ScriptedModel]:
    return ScriptedModel
