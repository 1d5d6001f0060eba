"""Reads a question out of a conversation."""

from collections.abc import Sequence

from pydantic import ValidationError

from include.quarry.errors import InvalidInput, NotFound
from include.quarry.gateway.openai_schema import Chat, Turn
from include.quarry.gateway.schema import Ask
from include.quarry.generation.protocol import Wanted
from include.quarry.generation.writing import LIMITS

MODELS: dict[str, Wanted] = {"quarry-auto": "auto", "quarry-fast": "fast", "quarry-deep": "deep"}
"""Names that the tiers have for OpenAI's clients."""


def read_question(body: Chat) -> Ask:
    """The question of a conversation: its last user message.

    Raises `NotFound` for an unknown model, and `InvalidInput` when there is no question or it is too long.
    """
    if body.model not in MODELS:
        raise NotFound(f"model {body.model!r} does not chat; allowed are {', '.join(MODELS)}")
    question = _last(body.messages)
    try:
        return Ask(
            question=question,
            tier=MODELS[body.model],
            max_tokens=_bound(body.max_completion_tokens or body.max_tokens),
            top_k=body.top_k,
            filters=body.filters,
            corpus=body.corpus,
            min_seq=body.min_seq,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InvalidInput(f"the last user message is the question, and cannot be asked: {reason}") from None


def _bound(max_tokens: int | None) -> int | None:
    """The length asked for. Many clients always send a high number: a bound that no tier reaches asks for nothing."""
    return max_tokens if max_tokens and max_tokens < LIMITS["deep"].answer_tokens else None


def _last(messages: Sequence[Turn]) -> str:
    for message in reversed(messages):
        if message.role == "user":
            return message.text
    raise InvalidInput("messages hold no user message; the last one of these is the question")
