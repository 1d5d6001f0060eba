"""A candidate passes when it is not worse, fails when it is, and is not judged on doubtful ground."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evaluation.candidate import judge_candidate
from evaluation.comparison import compare
from evaluation.judgments import SuiteCard, Thresholds
from evaluation.policy import GatePolicy
from evaluation.record import RunRecord
from evaluation.trial import Side, Trial
from include.quarry.catalog.versions import IndexVersion
from include.quarry.specs import IndexSpec

CARD = SuiteCard(min_judged_queries=2)


def version(version_id: str) -> IndexVersion:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return IndexVersion(version_id, "main", IndexSpec(), "shadow", 7, "/snapshot", 3, now, None, None, "")


def trial(live: RunRecord, candidate: RunRecord, *, sizes: tuple[int, int] = (100, 100), split: float = 0.0) -> Trial:
    ours = live.model_copy(update={"index_versions": ("live",)})
    return Trial(
        Side(version("live"), ours, sizes[0]),
        Side(version("new"), candidate, sizes[1]),
        split,
        compare(live, candidate, "ndcg@10"),
    )


def new(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"index_versions": ("new",)})


def slower(record: RunRecord, times: float) -> RunRecord:
    queries = tuple(query.model_copy(update={"latency_ms": query.latency_ms * times}) for query in record.queries)
    return record.model_copy(update={"queries": queries})


def grounds(verdict) -> list[str]:
    return [reason.ground for reason in verdict.reasons]


def test_the_same_answers_pass(make_record) -> None:
    live = make_record([0.9, 0.4] * 20)
    verdict = judge_candidate(trial(live, new(live)), CARD)
    assert (verdict.outcome, verdict.exit_code) == ("pass", 0)
    assert "not worse than live" in str(verdict.reasons[0])


def test_a_loss_beyond_the_margin_fails_with_the_numbers(make_record) -> None:
    live, candidate = make_record([0.8] * 40), make_record([0.7] * 40)
    verdict = judge_candidate(trial(live, new(candidate)), CARD)
    assert (verdict.outcome, grounds(verdict)) == ("fail", ["relevance"])
    assert "0.8000 -> 0.7000" in str(verdict.reasons[0])
    tolerant = CARD.model_copy(update={"gate": GatePolicy(margin=0.11)})
    assert judge_candidate(trial(live, new(candidate)), tolerant).outcome == "pass"


def test_a_loss_that_few_queries_cannot_exclude_fails(make_record) -> None:
    live, candidate = make_record([0.5] * 10), make_record([1.0, 0.0] * 5)
    assert grounds(judge_candidate(trial(live, new(candidate)), CARD)) == ["relevance"]


def test_an_absolute_threshold_must_hold_for_the_candidate(make_record) -> None:
    record = make_record([0.5] * 10)
    card = CARD.model_copy(update={"thresholds": Thresholds(at_least={"ndcg@10": 0.6, "ingestion_documents_per_s": 9})})
    assert grounds(judge_candidate(trial(record, new(record)), card)) == ["threshold"]


def test_a_candidate_over_its_latency_budget_fails(make_record) -> None:
    live = make_record([0.5] * 10)
    assert judge_candidate(trial(live, new(slower(live, 1.4))), CARD).outcome == "pass"
    assert grounds(judge_candidate(trial(live, new(slower(live, 5))), CARD)) == ["latency", "latency"]


def test_a_difference_that_nobody_notices_is_no_ground(make_record) -> None:
    live = slower(make_record([0.5] * 10), 0.02)
    assert judge_candidate(trial(live, new(slower(live, 5))), CARD).outcome == "pass"


def test_a_candidate_over_its_size_budget_fails(make_record) -> None:
    live = make_record([0.5] * 10)
    assert grounds(judge_candidate(trial(live, new(live), sizes=(100, 151)), CARD)) == ["size"]
    absolute = CARD.model_copy(update={"gate": GatePolicy(max_size_bytes=99)})
    verdict = judge_candidate(trial(live, new(live)), absolute)
    assert "max_size_bytes" in str(verdict.reasons[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: replace(t, split=0.2), "different watermarks"),
        (lambda t: replace(t, candidate=replace(t.candidate, record=t.live.record)), "'new' was asked, ['live']"),
        (lambda t: replace(t, live=replace(t.live, record=t.candidate.record)), "'live' was asked, ['new']"),
        (
            lambda t: replace(
                t,
                candidate=replace(
                    t.candidate, record=t.candidate.record.model_copy(update={"index_versions": ("new", "newer")})
                ),
            ),
            "changed during the run",
        ),
        (
            lambda t: replace(
                t,
                candidate=replace(t.candidate, record=t.candidate.record.model_copy(update={"min_judged_queries": 99})),
            ),
            "too few",
        ),
    ],
    ids=["split watermarks", "foreign candidate", "foreign live", "two versions", "few queries"],
)
def test_doubt_is_no_verdict(make_record, change, words: str) -> None:
    record = make_record([0.5] * 10)
    verdict = judge_candidate(change(trial(record, new(record))), CARD)
    assert (verdict.outcome, verdict.exit_code, set(grounds(verdict))) == ("undecided", 2, {"doubt"})
    assert any(words in str(reason) for reason in verdict.reasons)
