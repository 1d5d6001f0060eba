"""The answer without a model: the sentences of the passages that say most about the question, word for word.

A sentence scores by the share of the question it covers itself, less for what its headings cover, and a little
for being of the kind asked for: a number for "how many" and "when", a name for "who", a definition for "what is".
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from include.quarry.generation.evidence import Evidence, Statement
from include.quarry.generation.relevance import Rarity, question_words, weigh
from include.quarry.generation.wording import Word

MAX_SENTENCES = 2
ENOUGH = 0.3
"""A sentence below this score says too little about the question to stand as an answer."""
ALMOST_AS_GOOD = 0.85

_WANTS_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|old|far|often|big|large|fast)|when|what (?:year|version|date))\b", re.I
)
_WANTS_NAME = re.compile(r"\b(?:who|whom|whose|where)\b", re.I)
_WANTS_DEFINITION = re.compile(r"^\W*what(?:'s| is| are)\b", re.I)
_DEFINES = re.compile(r"^\W*(?:[\w.\"'`*-]+\s+){1,4}?(?:is|are)\b|^an? \w+", re.I)


class Extract(NamedTuple):
    """A sentence taken from the passage numbered `marker`."""

    marker: int
    statement: Statement
    score: float


def extract_answer(
    question: str, evidence: Sequence[Evidence], *, max_sentences: int = MAX_SENTENCES, rarity: Rarity | None = None
) -> list[Extract]:
    """The best sentences, best first; empty where none says enough."""
    asked = question_words(question)
    scored = [
        Extract(passage.marker, statement, score_statement(question, asked, passage, statement, rarity))
        for passage in evidence
        for statement in passage.statements
        if not statement.asks and not statement.text.endswith(":")
    ]
    ranked = sorted(scored, key=lambda extract: (-extract.score, extract.marker, extract.statement.start))
    if not ranked or ranked[0].score < ENOUGH:
        return []
    good = [extract for extract in ranked if extract.score >= ALMOST_AS_GOOD * ranked[0].score]
    return _distinct(good)[:max_sentences]


def score_statement(
    question: str, asked: Sequence[Word], passage: Evidence, statement: Statement, rarity: Rarity | None = None
) -> float:
    """How well one sentence answers, roughly in [0, 1.5]."""
    total = sum(weigh(word, rarity) for word in asked) or 1.0
    own = {word.stem for word in statement.words}
    above = {word.stem for word in passage.heading_words} - own
    score = sum(weigh(word, rarity) for word in asked if word.stem in own) / total
    heading_share = 0.8 if _WANTS_DEFINITION.search(question) else 0.4
    score += heading_share * sum(weigh(word, rarity) for word in asked if word.stem in above) / total
    return score + _kind_bonus(question, statement) - (0.0 if _is_prose(statement.text) else 0.2)


def _kind_bonus(question: str, statement: Statement) -> float:
    kinds = {word.kind for word in statement.words}
    if _WANTS_NUMBER.search(question):
        return 0.1 if "number" in kinds else 0.0
    if _WANTS_NAME.search(question):
        return 0.1 if "name" in kinds else 0.0
    return 0.3 if _WANTS_DEFINITION.search(question) and _DEFINES.search(statement.text) else 0.0


def _is_prose(text: str) -> bool:
    return text.endswith((".", "!", '"', "”", ")")) and len(text.split()) >= 5


def _distinct(extracts: Sequence[Extract]) -> list[Extract]:
    kept: list[Extract] = []
    for extract in extracts:
        stems = {word.stem for word in extract.statement.words}
        if not any(stems <= {word.stem for word in other.statement.words} for other in kept):
            kept.append(extract)
    return kept
