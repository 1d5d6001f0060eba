"""The gate of generation releases: a model with a prompt held against the live one, on the same questions in turns.

Paired over the questions: that it answers what can be answered by its own sentences, with what is right, that it says
"I don't know" where it should, and what it costs. In doubt it refuses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from evaluation.answer_record import AnswerRecord, TierRun
from evaluation.answer_session import ENGINE_SILENCE_S, ask
from evaluation.answer_suite import Case, load_cases
from evaluation.gate import Check, Verdict, decide
from evaluation.gate_record import checks_of, reasons_of
from evaluation.judgments import Suite
from evaluation.policy import GatePolicy
from evaluation.progress import progress_bar
from evaluation.release_record import ReleaseRecord
from evaluation.significance import paired_bootstrap
from include.quarry.catalog.database import opened
from include.quarry.catalog.generation_routes import find_release_route
from include.quarry.catalog.releases import Release, find_release, note_verdict
from include.quarry.errors import InvalidInput
from include.quarry.generation.answering import Answerer
from include.quarry.generation.composition import default_release, open_release, open_tier
from include.quarry.generation.prices import read_prices
from include.quarry.generation.protocol import DEFAULT_RELEASE, LanguageModel, Wish
from include.quarry.generation.writing import Writer
from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import Settings

OpenRelease = Callable[[Release, Settings, LanguageModel | None], Writer]
_BROKEN = ("failed", "had no time left", "has no place left in its queue")
_MOST_BROKEN = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """How many questions of either kind are asked at most."""

    answerable: int = 100
    unanswerable: int = 40


async def gate_release(
    release_id: str, suite: Suite, settings: Settings, asked: Asked, open_model: OpenRelease | None = None
) -> ReleaseRecord:
    """Decide whether a release may answer for its tier, and keep a pass with it in the catalog.

    Raises `NotFound`, `InvalidInput` for the live release, and what reading the suite and loading the models raise.
    """
    live, candidate = _find(release_id, settings)
    cases = load_cases(suite.folder, answerable=asked.answerable, unanswerable=asked.unanswerable)
    started_at, open_model = datetime.now(UTC), open_model or partial(open_release, silence_s=ENGINE_SILENCE_S)
    before = open_model(live, settings, None)
    after = open_model(candidate, settings, before.model if live.model == candidate.model else None)
    runs = await _ask_both(cases, candidate, (before, after), settings)
    verdict = judge_release(*runs, suite.card.gate)
    with opened(settings.catalog_url) as database, database.write() as connection:
        note_verdict(connection, release_id, live.release_id if verdict.outcome == "pass" else None)
    return ReleaseRecord(
        suite=suite.name,
        tier=candidate.tier,
        candidate=candidate.release_id,
        against=live.release_id,
        started_at=started_at,
        outcome=verdict.outcome,
        reasons=reasons_of(verdict),
        checks=checks_of(verdict),
        live_run=runs[0],
        candidate_run=runs[1],
    )


def judge_release(live: TierRun, candidate: TierRun, policy: GatePolicy) -> Verdict:
    """Pass when the loss that each interval still allows is inside the margin, and the cost inside its budget."""
    doubts = [
        *_doubts(live, policy),
        *_doubts_about_engine("live", live),
        *_doubts_about_engine("candidate", candidate),
    ]
    if doubts:
        return decide((), doubts=doubts, praise="")
    checks = [*_answers(live, candidate, policy), _cost(live, candidate, policy)]
    return decide(checks, praise=f"not worse over {len(live.answers)} questions")


def _find(release_id: str, settings: Settings) -> tuple[Release, Release]:
    """The release to beat, and the candidate."""
    with opened(settings.catalog_url) as database, database.read() as connection:
        candidate = find_release(connection, release_id)
        live_id = find_release_route(connection, candidate.tier).live_release
        default = default_release(candidate.tier, settings)
        live = default if live_id == DEFAULT_RELEASE else find_release(connection, live_id)
    if live_id == release_id:
        raise InvalidInput(f"release {release_id!r} is live already; name a candidate")
    return live, candidate


async def _ask_both(
    cases: list[Case], candidate: Release, writers: tuple[Writer, Writer], settings: Settings
) -> tuple[TierRun, TierRun]:
    tier, prices = candidate.tier, read_prices(REPOSITORY / settings.prices)
    both = [Answerer({tier: open_tier(tier, settings, writer)}, prices=prices) for writer in writers]
    answers: tuple[list[AnswerRecord], list[AnswerRecord]] = ([], [])
    with progress_bar() as progress:
        task = progress.add_task("asking both", total=len(cases))
        for case in cases:
            for answerer, said in zip(both, answers, strict=True):
                said.append(await ask(answerer, case, Wish(tier), settings.request_timeout_s))
            progress.advance(task)
    live, tried = (TierRun(wanted=tier, answers=tuple(said)) for said in answers)
    return live, tried


def _doubts(live: TierRun, policy: GatePolicy) -> Iterator[str]:
    right = [answer for answer in live.answers if answer.gold]
    for kind, count, needed in (
        ("answerable", len(right), policy.min_answerable),
        ("unanswerable", len(live.answers) - len(right), policy.min_unanswerable),
    ):
        if count < needed:
            yield f"{count} {kind} questions are too few; at least {needed} are needed (gate.min_{kind} in suite.yaml)"
    if right and not any(answer.tier == live.wanted for answer in right):
        yield f"the live release has answered nothing by itself ({right[0].tier_reason}); see what ails its model"


def _doubts_about_engine(side: str, run: TierRun) -> Iterator[str]:
    """What an engine did not answer for want of time or health says nothing about the release."""
    broken = [any(f"{run.wanted} {how}" in answer.tier_reason for how in _BROKEN) for answer in run.answers]
    if sum(broken) > _MOST_BROKEN * len(broken):
        count, reason = f"{sum(broken)} of {len(broken)}", run.answers[broken.index(True)].tier_reason
        yield f"the {side} release's engine did not answer {count} questions ({reason}); run again"


def _answers(live: TierRun, candidate: TierRun, policy: GatePolicy) -> Iterator[Check]:
    pairs = list(zip(live.answers, candidate.answers, strict=True))
    right = [pair for pair in pairs if pair[0].gold]
    none = [pair for pair in pairs if not pair[0].gold]
    measures: tuple[tuple[str, list[tuple[AnswerRecord, AnswerRecord]], Callable[[AnswerRecord], bool]], ...] = (
        ("answers of its own, grounded", right, lambda answer: answer.tier == live.wanted),
        ("right answers", right, lambda answer: bool(answer.matched)),
        ("'I don't know' where nothing is to be known", none, lambda answer: not answer.grounded),
    )
    for name, among, holds in measures:
        change = np.array([float(holds(after)) - float(holds(before)) for before, after in among])
        interval = paired_bootstrap(change).interval
        note = f"the margin; {interval.mean:+.3f}, 95% interval {interval.low:+.3f} to {interval.high:+.3f}"
        yield Check(
            f"lower bound of the change in {name}",
            interval.low,
            "at least",
            -policy.answer_margin,
            interval,
            "answers",
            note,
        )


def _cost(live: TierRun, candidate: TierRun, policy: GatePolicy) -> Check:
    before, after = (run.measures["cost_per_1k_questions"] for run in (live, candidate))
    note = f"{policy.max_cost_ratio:g} times the live release's {before:.4g}"
    limit = round(policy.max_cost_ratio * before, 9)
    return Check("cost of 1000 questions", after, "at most", limit, None, "cost", note)
