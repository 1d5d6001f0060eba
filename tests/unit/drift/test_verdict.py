"""One verdict: Holm's correction, floors on the effect, and a state that does not flap."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.drift.statistic import Statistic
from include.quarry.drift.verdict import ALPHA, CALM_WINDOWS, State, Verdict, adjust, insufficient_data, judge, step

CALM, SIGNIFICANT, OVERWHELMING, UNJUDGED = "calm", "significant", "overwhelming", "unjudged"


def statistics(*p_values: float, value: float = 1.0, floor: float = 0.5) -> list[Statistic]:
    return [Statistic(f"s{number}", value, floor, p, "") for number, p in enumerate(p_values)]


def run(levels: list[str]) -> list[str]:
    state, conditions = State(), []
    for level in levels:
        state = step(state, level)
        conditions.append(state.condition)
    return conditions


def test_holm_on_a_worked_example() -> None:
    adjusted = adjust(statistics(0.01, 0.04, 0.03, 0.005))
    assert adjusted == pytest.approx({"s3": 0.02, "s0": 0.03, "s2": 0.06, "s1": 0.06})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_lies_between_the_raw_value_and_bonferroni_and_keeps_the_order(p_values) -> None:
    adjusted = [adjust(statistics(*p_values))[f"s{number}"] for number in range(len(p_values))]
    for raw, held in zip(p_values, adjusted, strict=True):
        assert raw <= held <= min(1, raw * len(p_values)) + 1e-12 or held == max(adjusted)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[place] for place in order] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1, min(p_values) * len(p_values)))


def test_four_tests_at_the_raw_level_are_no_alarm() -> None:
    assert judge(statistics(0.04, 0.3, 0.5, 0.9), State()).outcome == "none"
    assert judge(statistics(0.006, 0.3, 0.5, 0.9), State()).outcome == "watch"
    assert judge(statistics(0.002, 0.3, 0.5, 0.9), State()).outcome == "drift"


def test_an_effect_below_its_floor_is_no_alarm_however_sure_and_is_said() -> None:
    verdict = judge(statistics(0.0001, 0.0001, value=0.4), State())
    assert (verdict.outcome, verdict.level) == ("none", CALM)
    assert any("too small to matter" in reason for reason in verdict.reasons)


def test_an_untested_statistic_is_carried_and_not_counted() -> None:
    carried = Statistic("sentinels", 0.0, 1e-3, None, "")
    verdict = judge([carried, *statistics(0.012)], State())
    assert verdict.adjusted == {"s0": 0.012}
    assert carried in verdict.statistics


def test_one_overwhelming_window_is_drift_at_once() -> None:
    assert judge(statistics(0.001), State()).outcome == "drift"


def test_two_significant_windows_are_drift() -> None:
    assert run([SIGNIFICANT, SIGNIFICANT]) == ["watch", "drift"]
    assert run([SIGNIFICANT, CALM, SIGNIFICANT]) == ["watch", "watch", "drift"]


def test_one_calm_window_is_not_enough_to_go_back() -> None:
    assert run([OVERWHELMING, CALM, CALM, CALM]) == ["drift", "drift", "none", "none"]
    assert run([SIGNIFICANT, CALM, CALM, SIGNIFICANT]) == ["watch", "watch", "none", "watch"]
    assert run([OVERWHELMING, CALM, SIGNIFICANT, CALM, CALM]) == ["drift", "drift", "drift", "drift", "none"]


def test_a_window_without_a_judgement_changes_nothing() -> None:
    assert run([SIGNIFICANT, UNJUDGED, SIGNIFICANT]) == ["watch", "watch", "drift"]
    verdict = insufficient_data("too few", State("drift", 1))
    assert (verdict.outcome, verdict.state) == ("insufficient_data", State("drift", 1))


@given(st.lists(st.sampled_from([CALM, SIGNIFICANT, OVERWHELMING, UNJUDGED]), max_size=30))
def test_drift_ends_only_after_enough_calm_windows_in_a_row(levels) -> None:
    conditions = ["none", *run(levels)]
    for end in range(1, len(conditions)):
        if conditions[end - 1] == "drift" and conditions[end] == "none":
            judged = [level for level in levels[:end] if level != UNJUDGED]
            assert judged[-CALM_WINDOWS:] == [CALM] * CALM_WINDOWS
        assert (conditions[end - 1], conditions[end]) != ("drift", "watch")


def test_alternating_windows_do_not_flap() -> None:
    conditions = run([OVERWHELMING, CALM] * 10)
    assert set(conditions) == {"drift"}


def test_every_alarm_is_explained_with_its_numbers() -> None:
    verdict = judge(statistics(0.001, 0.9), State())
    assert len(verdict.reasons) == 1
    assert "s0 1 (floor 0.5), adjusted p 0.0020" in verdict.reasons[0]
    assert f"{ALPHA:g}" in judge(statistics(0.5), State()).reasons[0]


def test_a_verdict_comes_back_from_json_as_it_was() -> None:
    carried = Statistic("sentinels", 0.0, 1e-3, None, "", {"moved": 0.0})
    verdict = judge([carried, *statistics(0.012, 0.5)], State("watch", 1))
    assert Verdict.from_parts(json.loads(json.dumps(asdict(verdict)))) == verdict
