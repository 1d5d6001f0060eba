"""The generator port: a chat prompt in, a stream of text out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Tier = Literal["fast", "deep"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a generation cost, in the model's own tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of generated text; the last one of a stream carries the usage."""

    text: str
    usage: Usage | None = None


class LanguageModel(Protocol):
    """One model behind one engine. Closing the iterator early stops the generation."""

    @property
    def name(self) -> str:
        """What the usage report and the answer call this model."""
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[Delta]:
        """Generate greedily (temperature 0). Raises `Unavailable` when the engine cannot answer."""
        ...
