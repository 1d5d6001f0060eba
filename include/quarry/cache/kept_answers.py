"""An answer as bytes: its sentences as they were told, and what was said of it as a whole."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import orjson

from include.quarry.errors import InvalidInput
from include.quarry.generation.answers import Answer, Citation, VerifiedSentence
from include.quarry.generation.protocol import Origin, Usage

FORMAT = 1
"""Number of this encoding; another one for every change of it, and of how answers are made and checked."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The events of an answer that is told again. Told again, it has cost nothing."""

    sentences: tuple[VerifiedSentence, ...]
    answer: Answer

    def to_bytes(self) -> bytes:
        """Everything but what it took to make it."""
        told = [[sentence.text, [astuple(each) for each in sentence.citations]] for sentence in self.sentences]
        answer = self.answer
        return orjson.dumps(
            [told, answer.text, answer.grounded, answer.tier, answer.tier_reason, _parts(answer.origin)]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> "KeptAnswer":
        """The inverse of `to_bytes`. Raises `InvalidInput` for bytes that are none."""
        try:
            told, text, grounded, tier, reason, origin = orjson.loads(value)
            sentences = tuple(VerifiedSentence(said, _citations(cited)) for said, cited in told)
            by = Origin(*origin) if origin else None
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"these bytes are no answer ({type(error).__name__}); make it anew") from None
        citations = tuple(each for sentence in sentences for each in sentence.citations)
        answer = Answer(text, citations, grounded, tier, Usage(), {"total": 0.0}, reason, origin=by, kept=True)
        return cls(sentences, answer)


def _citations(cited: Sequence[Sequence[Any]]) -> tuple[Citation, ...]:
    return tuple(Citation(*each) for each in cited)


def _parts(origin: Origin | None) -> tuple[str, ...]:
    return (origin.release_id, origin.model, origin.prompt_version) if origin else ()
