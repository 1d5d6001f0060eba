"""The gate passes what holds, fails what does not, and refuses to guess."""

import pytest

from evaluation.comparison import compare
from evaluation.gate import judge
from evaluation.judgments import Thresholds
from evaluation.record import Ingestion
from include.quarry.errors import InvalidInput

HALF = Thresholds(at_least={"ndcg@10": 0.5})


def test_thresholds_that_hold_pass_with_their_numbers_and_intervals(make_record) -> None:
    verdict = judge(make_record((1.0, 0.5, 0.0)), HALF)
    assert (verdict.outcome, verdict.exit_code) == ("pass", 0)
    (check,) = verdict.checks
    assert (check.value, check.threshold) == (0.5, 0.5)
    assert check.interval is not None
    assert check.interval.low <= 0.5 <= check.interval.high


@pytest.mark.parametrize(
    ("thresholds", "reason"),
    [
        (Thresholds(at_least={"ndcg@10": 0.51}), "ndcg@10 0.5000: at least 0.51 is broken"),
        (Thresholds(at_most={"latency_p99_ms": 19}), "latency_p99_ms 20.0000: at most 19 is broken"),
        (Thresholds(at_least={"ingestion_documents_per_s": 5}), "ingestion_documents_per_s 2.0000"),
    ],
)
def test_a_broken_threshold_fails_with_its_reason(make_record, thresholds: Thresholds, reason: str) -> None:
    verdict = judge(make_record(ingestion=Ingestion(documents=4, seconds=2)), thresholds)
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)
    assert reason in str(verdict.reasons[0])


def test_one_broken_threshold_among_many_is_enough(make_record) -> None:
    thresholds = Thresholds(at_least={"ndcg@10": 0.1, "p@5": 0.9, "mrr@10": 0.1})
    verdict = judge(make_record(), thresholds)
    assert verdict.outcome == "fail"
    assert len(verdict.reasons) == 1


@pytest.mark.parametrize(
    ("record", "thresholds", "reason"),
    [
        ({"min_judged_queries": 4}, HALF, "too few"),
        ({"versions": ("v1", "v2")}, HALF, "changed during the run"),
        ({"versions": ()}, HALF, "changed during the run"),
        ({}, Thresholds(), "no threshold"),
        ({}, Thresholds(at_least={"ingestion_documents_per_s": 1}), "has no ingestion_documents_per_s"),
        ({"scores": (1.0, float("nan"))}, HALF, "has no ndcg@10"),
        ({"scores": ()}, HALF, "too few"),
    ],
    ids=["few queries", "two versions", "no version", "no threshold", "no measure", "not a number", "no query"],
)
def test_doubt_is_no_verdict(make_record, record: dict, thresholds: Thresholds, reason: str) -> None:
    verdict = judge(make_record(**record), thresholds)
    assert (verdict.outcome, verdict.exit_code) == ("undecided", 2)
    assert any(reason in str(text) for text in verdict.reasons)


def test_being_significantly_worse_than_the_baseline_fails(make_record) -> None:
    before, after = make_record([0.9] * 30), make_record([0.8] * 29 + [0.9])
    assert judge(after, HALF).outcome == "pass"
    verdict = judge(after, HALF, baseline=before)
    assert verdict.outcome == "fail"
    assert "worse than the baseline" in str(verdict.reasons[0])
    assert judge(before, HALF, baseline=after).outcome == "pass"


def test_noise_against_the_baseline_passes(make_record) -> None:
    before, after = make_record([0.9, 0.8] * 15), make_record([0.8, 0.9] * 14 + [0.8, 0.8])
    assert judge(after, HALF, baseline=before).outcome == "pass"


def test_a_baseline_over_other_queries_is_no_ground_for_a_verdict(make_record) -> None:
    assert judge(make_record([0.9] * 30), HALF, baseline=make_record([0.9] * 20)).outcome == "undecided"


def test_a_comparison_pairs_by_query_and_lists_the_losses_first(make_record) -> None:
    comparison = compare(make_record((1.0, 0.5, 0.2)), make_record((0.4, 0.4, 0.9)), "p@5")
    assert [(change.query_id, round(change.change, 3)) for change in comparison.worst] == [("q0", -0.6), ("q1", -0.1)]
    assert [change.query_id for change in comparison.best] == ["q2"]
    assert comparison.difference.interval.mean == pytest.approx(0.0)
    assert comparison.unmatched == 0


def test_runs_of_different_suites_are_not_compared(make_record) -> None:
    with pytest.raises(InvalidInput, match="one suite"):
        compare(make_record(), make_record(suite="other"), "p@5")
    with pytest.raises(InvalidInput, match="allowed are"):
        compare(make_record(), make_record(), "map")
