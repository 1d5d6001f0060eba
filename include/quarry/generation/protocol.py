"""The generator port: a chat prompt in, a stream of text out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Tier = Literal["fast", "deep"]
Wanted = Literal["auto", "fast", "deep"]
TIERS: tuple[Tier, ...] = ("fast", "deep")
DEFAULT_RELEASE = "default"
"""What the settings and the prompt file say; it answers where no other release was promoted."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a question is to be answered: by which tier, and in how many of the model's tokens at most."""

    tier: Wanted = "auto"
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The release of a tier that a sentence is from: its id, its model, and the version of its prompt."""

    release_id: str
    model: str
    prompt_version: str

    def __str__(self) -> str:
        """Another text for whatever writes otherwise. What a release is never changes, but for the default one."""
        if self.release_id != DEFAULT_RELEASE:
            return self.release_id
        return f"{self.release_id}: {self.model} by prompt {self.prompt_version}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a generation cost: the model's own tokens, and the seconds for which it held one of the engine's slots."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    engine_s: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            round(self.engine_s + other.engine_s, 3),
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return self + Usage(-other.prompt_tokens, -other.completion_tokens, -other.engine_s)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of generated text; the last one of a stream carries the usage, where the engine tells it."""

    text: str
    usage: Usage | None = None


def as_count(value: object) -> int | None:
    """A number of tokens as a server sent it; None for whatever is no such number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class LanguageModel(Protocol):
    """One model behind one engine. Closing the iterator early stops the generation."""

    @property
    def name(self) -> str:
        """What the usage report and the answer call this model."""
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[Delta]:
        """Generate greedily (temperature 0). Raises `Unavailable` when the engine cannot answer."""
        ...

    def check(self) -> None:
        """Raise `Unavailable` when the engine is known to hang, so that only a new one can help."""
        ...
