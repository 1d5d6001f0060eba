"""Asks the same questions of the fast tier, the deep tier and `auto`, in this process, with the settings' models."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from evaluation.answer_match import holds
from evaluation.answer_record import AnswerRecord, TierRun, TiersRecord
from evaluation.answer_suite import Case, load_cases
from evaluation.progress import progress_bar
from include.quarry.errors import Unavailable
from include.quarry.gateway.caller import Caller
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answering import Answerer, AnswerTier
from include.quarry.generation.answers import Answer, VerifiedSentence
from include.quarry.generation.composition import absence_of, default_release, open_release, open_tier
from include.quarry.generation.prices import read_prices
from include.quarry.generation.protocol import Tier, Wanted, Wish
from include.quarry.generation.sentences import flatten
from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import Settings

_TIERS: tuple[Tier, ...] = ("fast", "deep")
ENGINE_SILENCE_S = 60.0
"""A slow machine is no fault of a model's: unlike in a tier, nobody waits here."""


async def compare_tiers(
    folder: Path, wanted: Sequence[Wanted], settings: Settings, *, answerable: int, unanswerable: int
) -> TiersRecord:
    """The record. Raises `Unavailable` when a tier that is compared has no model, and what reading the suite raises."""
    cases = load_cases(folder, answerable=answerable, unanswerable=unanswerable)
    tiers: dict[Tier, AnswerTier] = {}
    for tier in _TIERS:
        if absence := absence_of(tier, settings):
            raise Unavailable(f"{tier} {absence}")
        writer = open_release(default_release(tier, settings), settings, silence_s=ENGINE_SILENCE_S)
        tiers[tier] = open_tier(tier, settings, writer)
    answerer = Answerer(tiers, prices=read_prices(REPOSITORY / settings.prices))
    started_at, runs = datetime.now(UTC), []
    with progress_bar() as progress:
        for each in wanted:
            task = progress.add_task(f"asking {each}", total=len(cases))
            answers = []
            for case in cases:
                answers.append(await ask(answerer, case, Wish(each), settings.request_timeout_s))
                progress.advance(task)
            runs.append(TierRun(wanted=each, answers=tuple(answers)))
    models = {"fast": settings.fast_model, "deep": settings.deep_model}
    return TiersRecord(suite=folder.name, started_at=started_at, models=models, runs=tuple(runs))


async def ask(answerer: Answerer, case: Case, wish: Wish, time_s: float) -> AnswerRecord:
    """The answer to one case."""
    visit = Visit(Caller("evaluation", "evaluation", frozenset(("answer",))), "0" * 32, Deadline(time_s), "")
    passages = [flatten(hit.chunk.passage.text) for hit in case.hits]
    started, sentences = time.perf_counter(), list[str]()
    async for event in answerer.answer(case.question, case.hits, wish, visit):
        if isinstance(event, VerifiedSentence):
            sentences.append(event.text)
        elif isinstance(event, Answer):
            answer = event
    return AnswerRecord(
        query_id=case.query_id,
        question=case.question,
        gold=case.gold,
        tier=answer.tier,
        tier_reason=answer.tier_reason,
        text=answer.text,
        grounded=answer.grounded,
        matched=holds(answer.text, case.gold) if case.gold else None,
        verbatim=sum(any(holds(passage, [sentence]) for passage in passages) for sentence in map(_bare, sentences)),
        sentences=len(sentences),
        latency_ms=round((time.perf_counter() - started) * 1000, 1),
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        engine_s=answer.usage.engine_s,
        cost=answer.cost,
    )


def _bare(sentence: str) -> str:
    """The sentence without the markers of its citations."""
    return sentence.split(" [", maxsplit=1)[0]
