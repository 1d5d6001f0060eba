"""What an answer is, and how it grows sentence by sentence with citations numbered in order of first use."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from include.quarry.generation.evidence import Evidence
from include.quarry.generation.grounding import Support
from include.quarry.generation.protocol import Usage
from include.quarry.generation.wording import read_words

DONT_KNOW = "I don't know."
AnsweredBy = Literal["deep", "fast", "extractive", "none"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The place in a document that bears out the sentences with `[marker]`: offsets `[start, end)` into its text."""

    marker: int
    chunk_id: str
    doc_id: str
    uri: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class VerifiedSentence:
    """A sentence of the answer with its final markers. `citations` are those that it is the first to use."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer. `grounded` is true exactly if there are citations; otherwise the text is `DONT_KNOW`.

    `timings_ms` counts from the start: `relevance`, `first_sentence` where there is one, `total`. `usage` adds up all
    models that were asked.
    """

    text: str
    citations: tuple[Citation, ...]
    grounded: bool
    tier: AnsweredBy
    usage: Usage
    timings_ms: Mapping[str, float]


AnswerEvent = VerifiedSentence | Answer


class Draft:
    """An answer in the making. `usage`, `refused` and `best_score` are kept by whoever asks the models."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self.evidence = evidence
        self.usage = Usage()
        self.refused = False
        self.best_score: float | None = None
        self.sentences: list[str] = []
        self._citations: list[Citation] = []
        self._said: set[tuple[str, ...]] = set()
        self._started = time.perf_counter()
        self._timings_ms: dict[str, float] = {}

    def add(self, text: str, supports: Sequence[Support]) -> VerifiedSentence | None:
        """Take a supported sentence in; None if it repeats an earlier one."""
        wording = tuple(word.stem for word in read_words(text))
        if wording in self._said:
            return None
        self._said.add(wording)
        known = len(self._citations)
        markers = sorted({self._marker(support) for support in supports})
        self.sentences.append(_mark(text, markers))
        self.mark_time("first_sentence")
        return VerifiedSentence(self.sentences[-1], tuple(self._citations[known:]))

    def mark_time(self, what: str) -> None:
        """Note when something happened first."""
        self._timings_ms.setdefault(what, round((time.perf_counter() - self._started) * 1000, 1))

    def finish(self, tier: AnsweredBy) -> Answer:
        """The answer as it stands."""
        self.mark_time("total")
        grounded = bool(self.sentences)
        return Answer(
            " ".join(self.sentences) or DONT_KNOW,
            tuple(self._citations),
            grounded,
            tier if grounded else "none",
            self.usage,
            self._timings_ms,
        )

    def _marker(self, support: Support) -> int:
        chunk = self.evidence[support.marker - 1].hit.chunk
        place = (chunk.chunk_id, support.start, support.end)
        for citation in self._citations:
            if (citation.chunk_id, citation.start, citation.end) == place:
                return citation.marker
        marker = len(self._citations) + 1
        self._citations.append(Citation(marker, place[0], chunk.key.doc_id, chunk.uri, *place[1:]))
        return marker


def _mark(text: str, markers: Sequence[int]) -> str:
    """The sentence with its markers before its full stop."""
    cited = "".join(f"[{marker}]" for marker in markers)
    body, stop = (text[:-1], text[-1]) if text.endswith((".", "!")) else (text, ".")
    return f"{body} {cited}{stop}"
