"""The verdict on a candidate: refused for what it did, never for what nobody saw."""

import pytest

from include.quarry.catalog.observations import Observation
from include.quarry.routing.trial import Limits, judge_trial


def seen(queries: int = 60, **changes: object) -> Observation:
    values = {
        "queries": queries,
        "failures": 0,
        "overlap": 0.8 * queries,
        "correlation": 0.9 * queries,
        "live_ms": [10.0] * queries,
        "candidate_ms": [11.0] * queries,
    }
    return Observation(**(values | changes))


def test_a_candidate_like_the_live_version_passes_with_its_numbers() -> None:
    trial = judge_trial(seen(), Limits())
    assert (trial.outcome, trial.reasons) == ("pass", ())
    assert (trial.overlap, trial.correlation, trial.live_ms, trial.candidate_ms) == pytest.approx((0.8, 0.9, 10, 11))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"failures": 1}, "failed on 1 of 60"),
        ({"overlap": 6.0}, "overlap@10 with the live version is 0.10"),
        ({"candidate_ms": [50.0] * 60}, "takes 50.0 ms where the live version takes 10.0 ms"),
    ],
)
def test_a_broken_candidate_fails_with_the_reason(changes: dict[str, object], reason: str) -> None:
    trial = judge_trial(seen(**changes), Limits())
    assert trial.outcome == "fail"
    (said,) = trial.reasons
    assert reason in said


def test_too_few_queries_decide_nothing_unless_one_failed() -> None:
    assert judge_trial(seen(10, overlap=0.0), Limits()).outcome == "undecided"
    assert judge_trial(Observation(), Limits()).outcome == "undecided"
    assert judge_trial(seen(10, failures=1), Limits()).outcome == "fail"


def test_a_few_slow_answers_and_a_few_milliseconds_are_no_fault() -> None:
    assert judge_trial(seen(candidate_ms=[11.0] * 55 + [900.0] * 5), Limits()).outcome == "pass"
    assert judge_trial(seen(live_ms=[1.0] * 60, candidate_ms=[6.0] * 60), Limits()).outcome == "pass"
