"""Decides whether the passages found have anything to do with the question, before a model is asked.

The measure is how much of the question the best stretch of text covers: each meaning-bearing word of the question
weighs by its rarity (names and numbers a little more where none is known), and a passage counts by its best `STRETCH`
neighbouring sentences with its headings. A threshold on it tells answerable from unanswerable questions. On the 1,190
questions of XQuAD, each with the four best passages by BM25, the default lets 88 % through, and 7 % where the four come
from other articles (0.3 % with random ones); 0.50 lets through 95 % and 18 %, 0.60 86 % and 5 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from include.quarry.generation.evidence import Evidence
from include.quarry.generation.wording import Word, is_reporting, read_words

Rarity = Callable[[str], float]
"""Weight of a stem, positive; an inverse document frequency, say."""

COVERAGE = 0.55
NAME_WEIGHT = 1.2
STRETCH = 3
_IDLE_WORDS = (
    "kind type sort mani much long far old often way thing person peopl year time one first most best exampl purpos"
    " main help tell give show list work get make do"
)
_IDLE = frozenset(_IDLE_WORDS.split())


@dataclass(frozen=True, slots=True)
class Relevance:
    """Whether to answer. `coverage` is the best passage's, in [0, 1]; `missing` the question's words found nowhere."""

    relevant: bool
    coverage: float
    missing: tuple[str, ...]


def judge_relevance(
    question: str,
    evidence: Sequence[Evidence],
    *,
    threshold: float = COVERAGE,
    rarity: Rarity | None = None,
    similarities: Sequence[float] = (),
    similar_enough: float = 0.6,
) -> Relevance:
    """Whether any passage is about the question.

    `similarities` may hold the dense cosine of question and passage, one per passage; one of at least `similar_enough`
    halves the threshold, so that a passage in quite other words still counts.
    """
    asked = question_words(question)
    coverages = [passage_coverage(asked, passage, rarity) for passage in evidence]
    best = max(coverages, default=0.0)
    wanted = threshold / 2 if max(similarities, default=0.0) >= similar_enough else threshold
    said = {word.stem for passage in evidence for word in passage_words(passage)}
    missing = tuple(word.form for word in asked if word.stem not in said)
    return Relevance(bool(asked) and best >= wanted, best, missing)


def question_words(question: str) -> tuple[Word, ...]:
    """The words of a question that say what it is about."""
    words = [word for word in read_words(question) if not is_reporting(word)]
    return tuple(word for word in words if word.stem not in _IDLE) or tuple(words)


def weigh(word: Word, rarity: Rarity | None) -> float:
    """How much one word of a question counts."""
    if rarity is not None:
        return rarity(word.stem)
    return 1.0 if word.kind == "plain" else NAME_WEIGHT


def passage_words(passage: Evidence) -> list[Word]:
    """All words of a passage, headings first."""
    return [*passage.heading_words, *(word for statement in passage.statements for word in statement.words)]


def passage_coverage(asked: Sequence[Word], passage: Evidence, rarity: Rarity | None = None) -> float:
    """The weighted share of the question that the best stretch of the passage covers."""
    total = sum(weigh(word, rarity) for word in asked)
    heading = {word.stem for word in passage.heading_words}
    best = 0.0
    for first in range(len(passage.statements)):
        stretch = heading | {word.stem for s in passage.statements[first : first + STRETCH] for word in s.words}
        best = max(best, sum(weigh(word, rarity) for word in asked if word.stem in stretch))
    return best / total if total else 0.0
