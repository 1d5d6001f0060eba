"""What an answer is, and how it grows sentence by sentence with citations numbered in order of first use."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from include.quarry.generation.evidence import Evidence
from include.quarry.generation.extractive import Extract
from include.quarry.generation.grounding import Support
from include.quarry.generation.prices import COST_DIGITS
from include.quarry.generation.protocol import Origin, Tier, Usage
from include.quarry.generation.queue import Standing
from include.quarry.generation.wording import read_words
from include.quarry.records import Hit

DONT_KNOW = "I don't know."
ONLY_PASSAGES = "No answer could be written now; these passages were found."
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
    """The whole answer. `grounded` is true exactly if there are citations.

    Otherwise the text is `DONT_KNOW`, or `ONLY_PASSAGES` when nobody had time to write one; `passages` are there then.
    `tier_reason` says why this tier answered and no other. `timings_ms` counts from the start: `relevance`, `queue` and
    `first_sentence` where there are such, `total`. `usage` adds up `spent`, what each tier used that was asked; `cost`
    is its price. `origin` is the release whose sentences these are, or that found no answer; None where no model spoke.
    `whole` is what this question always gets: the tier that it is for has answered to the end, or found no answer in
    the passages. `kept` is one that was made for an earlier request, and has cost nothing now.
    """

    text: str
    citations: tuple[Citation, ...]
    grounded: bool
    tier: AnsweredBy
    usage: Usage
    timings_ms: Mapping[str, float]
    tier_reason: str = ""
    cost: float = 0.0
    spent: Mapping[Tier, Usage] = field(default_factory=dict)
    passages: tuple[Hit, ...] = ()
    origin: Origin | None = None
    whole: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What an answer in the making has used so far, by the tiers that were asked, in their order; `cost` is its price.

    Told again and again, so that whoever leaves before the end is charged for what was generated until then.
    """

    by: Mapping[Tier, Usage] = field(default_factory=dict)
    cost: float = 0.0

    @property
    def usage(self) -> Usage:
        """What all tiers used together."""
        return sum(self.by.values(), Usage())

    def __add__(self, other: "Spent") -> "Spent":
        tiers = dict.fromkeys((*self.by, *other.by))
        by = {tier: self.by.get(tier, Usage()) + other.by.get(tier, Usage()) for tier in tiers}
        return Spent(by, round(self.cost + other.cost, COST_DIGITS))

    def __sub__(self, other: "Spent") -> "Spent":
        return self + Spent({tier: Usage() - usage for tier, usage in other.by.items()}, -other.cost)


AnswerEvent = VerifiedSentence | Spent | Answer


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a tier's part in an answer. `usage` is what it cost, also where nothing came of it.

    `done`: it said what it had to say. `refused`: the model found no answer in the passages. `failed`: the engine did.
    `busy`: no place in the queue. `late`: the time was over. `too_long`: it cannot hold question and passages.
    `left`: the caller went away, and hears of it no more.
    """

    how: Literal["done", "refused", "failed", "busy", "late", "too_long", "left"]
    usage: Usage = field(default_factory=Usage)
    waited_s: float = 0.0


TierEvent = Standing | Origin | Usage | VerifiedSentence | Ended
"""What a tier tells while it answers: how busy it is at first and again every while, who writes, what that has used so
far, sentences, the end."""


class Draft:
    """An answer in the making. `usage`, `refused` and `best` are kept by whoever asks the models; `best` is
    the best sentence of the passages, if any, once it was looked for."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self.evidence = evidence
        self.usage = Usage()
        self.refused = False
        self.best: Sequence[Extract] | None = None
        self.sentences: list[str] = []
        self._citations: list[Citation] = []
        self._said: set[tuple[str, ...]] = set()
        self._started = time.perf_counter()
        self._timings_ms: dict[str, float] = {}

    @property
    def citations(self) -> tuple[Citation, ...]:
        """All citations so far, in order of their markers."""
        return tuple(self._citations)

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """When what happened first, in milliseconds from the start."""
        return self._timings_ms

    def take(self, sentence: VerifiedSentence) -> VerifiedSentence:
        """Take in a sentence that was verified, and its citations numbered, elsewhere."""
        self.sentences.append(sentence.text)
        self._citations += sentence.citations
        self.mark_time("first_sentence")
        return sentence

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
        self.note_time(what, time.perf_counter() - self._started)

    def note_time(self, what: str, seconds: float) -> None:
        """Note how long something took, unless that was done."""
        self._timings_ms.setdefault(what, round(seconds * 1000, 1))

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
    body, stop = (text[:-1], text[-1]) if text.endswith((".", "!", "\u3002", "\uff01", "\u0964")) else (text, ".")
    return f"{body} {cited}{stop}"
