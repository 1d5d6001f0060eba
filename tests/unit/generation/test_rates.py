"""How often grounding and relevance are right, measured on judged encyclopaedia questions (XQuAD, English)."""

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from include.quarry.generation.evidence import Evidence, read_evidence
from include.quarry.generation.grounding import check_sentence
from include.quarry.generation.relevance import judge_relevance, passage_words, question_words
from include.quarry.records import Chunk, DocumentKey, Hit, Passage

DATA = Path(__file__).parents[4] / "shared" / "data" / "xquad_en"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the judged set XQuAD lies beside the checkout, not in it")

Change = Callable[[str, random.Random, Evidence], str]
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
NUMBER = re.compile(r"\b\d[\d,.]*\b")
AUXILIARY = re.compile(r"\b(?:is|are|was|were|has|had|can|will|could|would|have)\b(?! (?:not|no|never)\b)")


class Judged:
    """Every fourth passage with its neighbours, and the questions about them."""

    def __init__(self, folder: Path) -> None:
        self.documents = {line["_id"]: line for line in _lines(folder / "corpus.jsonl")}
        self.queries = {line["_id"]: line["text"] for line in _lines(folder / "queries.jsonl")}
        rows = (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
        self.right = {row.split("\t")[0]: row.split("\t")[1] for row in rows}
        self.passages = {doc_id: _evidence(line) for doc_id, line in self.documents.items()}

    @cached_property
    def sample(self) -> list[str]:
        return list(self.documents)[::4]

    @cached_property
    def stems(self) -> dict[str, set[str]]:
        return {doc_id: {word.stem for word in passage_words(self.passages[doc_id])} for doc_id in self.documents}

    @cached_property
    def rarity(self) -> dict[str, float]:
        counts = Counter(stem for stems in self.stems.values() for stem in stems)
        return {stem: math.log(1 + len(self.stems) / count) for stem, count in counts.items()}

    def elsewhere(self, doc_id: str) -> list[str]:
        return [other for other in self.documents if self.documents[other]["title"] != self.documents[doc_id]["title"]]

    def nearest(self, question: str, pool: Iterable[str], count: int) -> list[Evidence]:
        asked = {word.stem for word in question_words(question)}
        ranked = sorted(pool, key=lambda doc_id: -sum(self.rarity[stem] for stem in asked & self.stems[doc_id]))
        return [self.passages[doc_id] for doc_id in ranked[:count]]


def _lines(path: Path) -> Iterator[dict[str, str]]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def _evidence(line: dict[str, str]) -> Evidence:
    text, title = line["text"], line["title"]
    chunk = Chunk(
        line["_id"], DocumentKey("main", "t", line["_id"]), 1, 0, "", title, Passage(text, "", 0, len(text), 0), {}
    )
    return read_evidence([Hit(chunk, 1.0, {})])[0]


@pytest.fixture(scope="module")
def judged() -> Judged:
    return Judged(DATA)


def pass_rate(judged: Judged, change: Change) -> float:
    """The share of changed sentences that their own passage still supports."""
    outcomes = outcomes_of(judged, change)
    assert len(outcomes) >= 15
    return sum(outcomes) / len(outcomes)


def outcomes_of(judged: Judged, change: Change) -> list[bool]:
    """Of every sentence that can be changed so, whether its own passage still supports it."""
    rng, outcomes = random.Random(7), []
    for doc_id in judged.sample:
        passage = judged.passages[doc_id]
        for statement in passage.statements:
            changed = change(statement.text, rng, passage)
            if changed and not changed.endswith((":", "?")):
                outcomes.append(check_sentence(changed, [passage]).supported)
    return outcomes


def replace_one(pattern: re.Pattern[str], by: Callable[[re.Match[str], random.Random, Evidence], str]) -> Change:
    def change(text: str, rng: random.Random, passage: Evidence) -> str:
        found: list[re.Match[str]] = list(pattern.finditer(text))
        chosen = rng.choice(found) if found else None
        new = by(chosen, rng, passage) if chosen else ""
        return text[: chosen.start()] + new + text[chosen.end() :] if chosen and new else ""

    return change


def exchange_two(pattern: re.Pattern[str]) -> Change:
    def change(text: str, rng: random.Random, passage: Evidence) -> str:
        found: list[re.Match[str]] = list(pattern.finditer(text))
        if not found or found[0].group() == found[-1].group():
            return ""
        first, last = found[0], found[-1]
        return (
            text[: first.start()] + last.group() + text[first.end() : last.start()] + first.group() + text[last.end() :]
        )

    return change


def another(pattern: re.Pattern[str]) -> Callable[[re.Match[str], random.Random, Evidence], str]:
    """Another match out of the same passage, not in the sentence itself."""

    def by(match: re.Match[str], rng: random.Random, passage: Evidence) -> str:
        others = {found for statement in passage.statements for found in pattern.findall(statement.text)}
        chosen: str = rng.choice(sorted(others - set(pattern.findall(match.string))) or [""])
        return chosen

    return by


def test_true_sentences_pass(judged: Judged) -> None:
    assert pass_rate(judged, lambda text, rng, passage: text) >= 0.98


def test_true_sentences_cut_short_pass(judged: Judged) -> None:
    def cut(text: str, rng: random.Random, passage: Evidence) -> str:
        head, *rest = re.split(r", (?:which|who|while|and|but|where)\b|; ", text)
        return f"{head}." if rest and len(head.split()) > 5 else ""

    assert pass_rate(judged, cut) >= 0.95


def test_sentences_of_passages_about_other_things_do_not_pass(judged: Judged) -> None:
    rng = random.Random(1)
    for doc_id in judged.sample:
        other = judged.passages[rng.choice(judged.elsewhere(doc_id))]
        assert not any(check_sentence(s.text, [other]).supported for s in judged.passages[doc_id].statements)


CHANGES: dict[str, tuple[Change, float]] = {
    "another number": (replace_one(NUMBER, lambda m, rng, p: str(rng.randint(2, 2999))), 0.0),
    "a foreign name": (replace_one(NAME, lambda m, rng, p: "Wellington"), 0.0),
    "a not added": (replace_one(AUXILIARY, lambda m, rng, p: f"{m.group()} not"), 0.01),
    "a not removed": (replace_one(re.compile(r"\b(?:not|never) (?!only)"), lambda m, rng, p: " "), 0.07),
    "a number from the same passage": (replace_one(NUMBER, another(NUMBER)), 0.03),
    "a name from the same passage": (replace_one(NAME, another(NAME)), 0.03),
    "two numbers exchanged": (exchange_two(NUMBER), 0.05),
    "two names exchanged": (exchange_two(NAME), 0.06),
}
"""Ways to make a sentence false, and the share of each that may pass."""


@pytest.mark.parametrize(("change", "at_most"), CHANGES.values(), ids=CHANGES)
def test_changed_sentences_do_not_pass(change: Change, at_most: float, judged: Judged) -> None:
    assert pass_rate(judged, change) <= at_most


def test_of_all_changed_sentences_two_in_a_hundred_pass_at_most(judged: Judged) -> None:
    outcomes = [outcome for change, _ in CHANGES.values() for outcome in outcomes_of(judged, change)]
    assert len(outcomes) >= 1_000
    assert sum(outcomes) <= 0.02 * len(outcomes)


def test_questions_are_told_from_questions_about_other_things(judged: Judged) -> None:
    questions = list(judged.queries)[::6]
    answered = refused = 0
    for query_id in questions:
        question, right = judged.queries[query_id], judged.right[query_id]
        answered += judge_relevance(question, judged.nearest(question, judged.documents, 4)).relevant
        refused += not judge_relevance(question, judged.nearest(question, judged.elsewhere(right), 4)).relevant
    assert answered / len(questions) >= 0.87
    assert refused / len(questions) >= 0.87
