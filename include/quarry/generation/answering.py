"""From a question and its hits to a verified, cited answer, sentence by sentence.

The order of falling back: the tier asked for, then the fast tier, then the passages' own sentences, then nothing. A
sentence leaves only after `grounding` found the passage that bears it out, so no model, and no passage that tries to
give a model orders, can put words into the answer that the passages do not say.
"""

import logging
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.answers import AnsweredBy, AnswerEvent, Draft, VerifiedSentence
from include.quarry.generation.evidence import Evidence, Statement, read_evidence
from include.quarry.generation.extractive import extract_answer, score_statement
from include.quarry.generation.grounding import SHORT_WORDS, Similarity, Support, Verdict, check_sentence
from include.quarry.generation.prompt import Prompt, PromptTemplate
from include.quarry.generation.protocol import LanguageModel, Tier, Usage
from include.quarry.generation.relevance import COVERAGE, Rarity, judge_relevance, question_words
from include.quarry.generation.sentences import SentenceStream
from include.quarry.generation.wording import read_words
from include.quarry.records import Hit

EVIDENCE_HITS = 8
"""Hits beyond these are not read: an answer in a later one would be the retriever's failure, not worth the time."""
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
    """What one tier may spend on an answer."""

    prompt_tokens: int
    answer_tokens: int
    passages: int
    sentences: int


LIMITS: Mapping[Tier, TierLimits] = {
    "fast": TierLimits(prompt_tokens=450, answer_tokens=80, passages=3, sentences=2),
    "deep": TierLimits(prompt_tokens=2000, answer_tokens=256, passages=4, sentences=6),
}


class Answerer:
    """Answers questions from hits. `models` may lack a tier, or hold none: then the passages speak for themselves.

    `threshold` is the relevance a passage needs (see `relevance`). `rarity` weighs the question's words, `similarity`
    admits near wordings; both are optional.
    """

    def __init__(
        self,
        models: Mapping[Tier, LanguageModel],
        prompt: PromptTemplate,
        *,
        limits: Mapping[Tier, TierLimits] = LIMITS,
        threshold: float = COVERAGE,
        rarity: Rarity | None = None,
        similarity: Similarity | None = None,
    ) -> None:
        self._models = models
        self._prompt = prompt
        self._limits = {**LIMITS, **limits}
        self._threshold = threshold
        self._rarity = rarity
        self._similarity = similarity

    async def answer(self, question: str, hits: Sequence[Hit], tier: Tier = "fast") -> AsyncGenerator[AnswerEvent]:
        """Verified sentences as they are completed, then the `Answer` as the last event.

        A question that leaves a tier no room for a passage falls to the next one, and at last to the extract.
        """
        draft = Draft(read_evidence(hits[:EVIDENCE_HITS]))
        relevance = judge_relevance(question, draft.evidence, threshold=self._threshold, rarity=self._rarity)
        draft.mark_time("relevance")
        used: AnsweredBy = "none"
        for candidate in _falling_from(tier) if relevance.relevant else ():
            model = self._models.get(candidate)
            if model is None:
                continue
            try:
                async for sentence in self._generate(model, self._limits[candidate], question, draft):
                    used = candidate
                    yield sentence
                break
            except (InvalidInput, Misconfigured, Unavailable) as error:  # a question too long for it, too
                _log.warning("the %s tier gave no answer: %s", candidate, error)
                if draft.sentences:
                    break
        if relevance.relevant and not draft.sentences and not draft.refused:
            for extract in self._extract(question, draft):
                used = "extractive"
                yield extract
        yield draft.finish(used)

    async def _generate(
        self, model: LanguageModel, limits: TierLimits, question: str, draft: Draft
    ) -> AsyncGenerator[VerifiedSentence]:
        """What the model says that the passages bear out, until it has said enough or begins to repeat itself."""
        prompt = self._prompt.build(
            question, draft.evidence, budget_tokens=limits.prompt_tokens, max_passages=limits.passages
        )
        heard: set[str] = set()
        async with aclosing(_sentences(model, prompt, limits.answer_tokens, draft)) as sentences:
            async for text in sentences:
                if text in heard:
                    return
                heard.add(text)
                if not draft.sentences and _REFUSAL.search(text):
                    draft.refused = True
                    return
                verdict = check_sentence(text, prompt.evidence, question=question, similarity=self._similarity)
                if not verdict.supported or self._beside_the_point(verdict, question, draft):
                    _log.debug("dropped %r: %s", verdict.text, verdict.reason or "beside the point")
                    continue
                sentence = draft.add(verdict.text, verdict.supports)
                if sentence is None:
                    return
                yield sentence
                if len(draft.sentences) == limits.sentences:
                    return

    def _beside_the_point(self, verdict: Verdict, question: str, draft: Draft) -> bool:
        """Whether the sentence, with what bears it out, says far less about the question than the best sentence does.

        A short answer ("In 2006.") counts by what bears it out alone.
        """
        if draft.best_score is None:
            best = extract_answer(question, draft.evidence, max_sentences=1, rarity=self._rarity)
            draft.best_score = best[0].score if best else 0.0
        words = read_words(verdict.text)
        said = Statement(verdict.text, 0, 0, words, leans_back=False)
        scores = []
        for support in verdict.supports:
            passage = draft.evidence[support.marker - 1]
            places = [place for place in passage.statements if support.start <= place.start < support.end]
            score = max(self._score(question, passage, place) for place in places)
            own = score if len(words) <= SHORT_WORDS else self._score(question, passage, said)
            scores.append((score + own) / 2)
        return max(scores) < TO_THE_POINT * draft.best_score

    def _score(self, question: str, passage: Evidence, statement: Statement) -> float:
        return score_statement(question, question_words(question), passage, statement, self._rarity)

    def _extract(self, question: str, draft: Draft) -> Iterator[VerifiedSentence]:
        for extract in extract_answer(question, draft.evidence, rarity=self._rarity):
            place = extract.statement
            support = Support(extract.marker, place.start, place.end, extract.score)
            if sentence := draft.add(place.text, (support,)):
                yield sentence


def _falling_from(tier: Tier) -> tuple[Tier, ...]:
    return ("deep", "fast") if tier == "deep" else ("fast",)


async def _sentences(model: LanguageModel, prompt: Prompt, max_tokens: int, draft: Draft) -> AsyncGenerator[str]:
    """The model's sentences as they are completed; the stream is closed with this generator, and its cost noted."""
    before, spent = draft.usage, Usage(prompt.tokens, 0)
    cutter = SentenceStream()
    stream = model.stream(prompt.messages, max_tokens=max_tokens)
    try:
        async for delta in stream:
            spent = delta.usage or Usage(spent.prompt_tokens, spent.completion_tokens + 1)
            draft.usage = Usage(
                before.prompt_tokens + spent.prompt_tokens, before.completion_tokens + spent.completion_tokens
            )
            for sentence in cutter.feed(delta.text):
                yield sentence
        for sentence in cutter.flush():
            yield sentence
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
