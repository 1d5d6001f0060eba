"""A model's part of an answer: it reads the passages and writes, and what they bear out is let through.

A sentence leaves only after `grounding` found the passage that bears it out, so no model, and no passage that tries to
give a model orders, can put words into the answer that the passages do not say.
"""

import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from include.quarry.generation.answers import Draft, VerifiedSentence
from include.quarry.generation.evidence import Evidence, Statement
from include.quarry.generation.extractive import Extract, extract_answer, score_statement
from include.quarry.generation.grounding import SHORT_WORDS, Support, Verdict, check_sentence
from include.quarry.generation.prompt import Prompt, PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE, LanguageModel, Origin, Tier, Usage
from include.quarry.generation.relevance import Rarity, passage_words, question_words
from include.quarry.generation.sentences import SentenceStream
from include.quarry.generation.wording import read_words

TO_THE_POINT = 0.6
"""The least share of the best sentence's score that a model's sentence must reach."""

_REFUSAL = re.compile(
    r"\bI (?:do not|don.?t|cannot|can.?t) (?:know|answer|find)"
    r"|\bpassages? (?:do|does) not (?:answer|mention|contain|say)",
    re.IGNORECASE,
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TierLimits:
    """What one tier may spend on an answer; `turn_s` is what it takes about, before one was seen."""

    prompt_tokens: int
    answer_tokens: int
    passages: int
    sentences: int
    turn_s: float


LIMITS: Mapping[Tier, TierLimits] = {
    "fast": TierLimits(prompt_tokens=450, answer_tokens=80, passages=3, sentences=2, turn_s=2),
    "deep": TierLimits(prompt_tokens=2000, answer_tokens=256, passages=4, sentences=6, turn_s=15),
}


class Writer:
    """One model with its prompt and limits: a release. `rarity` weighs the question's words."""

    def __init__(
        self,
        model: LanguageModel,
        prompt: PromptTemplate,
        limits: TierLimits,
        *,
        release_id: str = DEFAULT_RELEASE,
        rarity: Rarity | None = None,
    ) -> None:
        self.model = model
        self.origin = Origin(release_id, model.name, prompt.version)
        self._prompt = prompt
        self._limits = limits
        self._rarity = rarity

    def choose(self, _tenant: str, _question: str) -> "Writer":
        """See `model_tier.Writers`: this one writes all."""
        return self

    def check(self) -> None:
        """Raise `Unavailable` when the engine hangs."""
        self.model.check()

    async def write(
        self, question: str, draft: Draft, max_tokens: int | None = None
    ) -> AsyncGenerator[VerifiedSentence]:
        """What the model says that the passages bear out, until it has said enough or begins to repeat itself.

        Raises `InvalidInput` when the question leaves no room for a passage, and what the model's `stream` raises.
        """
        limits = self._limits
        prompt = self._prompt.build(
            question, draft.evidence, budget_tokens=limits.prompt_tokens, max_passages=limits.passages
        )
        heard: set[str] = set()
        answer_tokens = min(max_tokens or limits.answer_tokens, limits.answer_tokens)
        async with aclosing(_sentences(self.model, prompt, answer_tokens, draft)) as sentences:
            async for text in sentences:
                if text in heard:
                    return
                heard.add(text)
                if not draft.sentences and _REFUSAL.search(text):
                    draft.refused = True
                    return
                verdict = check_sentence(text, prompt.evidence, question=question)
                if not verdict.supported or self._beside_the_point(verdict, question, draft):
                    _log.debug("dropped a sentence: %s", verdict.reason or "beside the point")
                    continue
                sentence = draft.add(verdict.text, verdict.supports)
                if sentence is None:
                    return
                yield sentence
                if len(draft.sentences) == limits.sentences:
                    return

    def _beside_the_point(self, verdict: Verdict, question: str, draft: Draft) -> bool:
        """Whether the sentence, with what bears it out, says far less about the question than the best sentence does,
        or the same of another than was asked about.

        A short answer ("In 2006.") counts by what bears it out alone.
        """
        if draft.best is None:
            draft.best = extract_answer(question, draft.evidence, max_sentences=1, rarity=self._rarity)
        borne_out_by = [(draft.evidence[support.marker - 1], support) for support in verdict.supports]
        told = [(passage, _statements(passage, support)) for passage, support in borne_out_by]
        if any(_tells_of_another(told, question, best, draft.evidence) for best in draft.best):
            return True
        words = read_words(verdict.text)
        said = Statement(verdict.text, 0, 0, words, leans_back=False)
        scores = []
        for passage, statements in told:
            score = max(self._score(question, passage, each) for each in statements)
            own = score if len(words) <= SHORT_WORDS else self._score(question, passage, said)
            scores.append((score + own) / 2)
        return max(scores) < TO_THE_POINT * max((best.score for best in draft.best), default=0.0)

    def _score(self, question: str, passage: Evidence, statement: Statement) -> float:
        return score_statement(question, question_words(question), passage, statement, self._rarity)


def _statements(passage: Evidence, support: Support) -> list[Statement]:
    return [statement for statement in passage.statements if support.start <= statement.start < support.end]


def _tells_of_another(
    told: Sequence[tuple[Evidence, Sequence[Statement]]], question: str, best: Extract, evidence: Sequence[Evidence]
) -> bool:
    """Whether what was told is the best sentence with other names or numbers, out of passages that lack a word of the
    question which the best one's passage has.

    Of documents of one form a small model likes to tell the wrong one: SmolLM2-135M did so in 13 of 57 answers about
    lighthouses; this drops all 13, and none that is right. Who asks about two is told of both: a passage that has a
    word of the question which the best one's lacks has its own part in the answer.
    """
    form = _plain(best.statement)
    if not form or not any(_plain(statement) == form for _, statements in told for statement in statements):
        return False
    asked = {word.stem for word in question_words(question)}
    ours = asked & {word.stem for passage, _ in told for word in passage_words(passage)}
    theirs = asked & {word.stem for word in passage_words(evidence[best.marker - 1])}
    return ours < theirs


def _plain(statement: Statement) -> list[str]:
    return [word.stem for word in statement.words if word.kind == "plain"]


async def _sentences(model: LanguageModel, prompt: Prompt, max_tokens: int, draft: Draft) -> AsyncGenerator[str]:
    """The model's sentences as they are completed; the stream is closed with this generator, and its cost noted."""
    before, spent = draft.usage, Usage(prompt.tokens, 0)
    cutter = SentenceStream()
    stream = model.stream(prompt.messages, max_tokens=max_tokens)
    try:
        async for delta in stream:
            spent = delta.usage or Usage(spent.prompt_tokens, spent.completion_tokens + 1)
            draft.usage = before + spent
            for sentence in cutter.feed(delta.text):
                yield sentence
        for sentence in cutter.flush():
            yield sentence
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
