"""The bootstrap: exact where it must be, right on average where it is random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import significance
from evaluation.significance import bootstrap_mean, paired_bootstrap
from include.quarry.errors import InvalidInput

scores = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=60)
few = {"resamples": 400}


def test_equal_runs_do_not_differ() -> None:
    result = paired_bootstrap(np.zeros(50))
    assert result.p_value == 1
    assert (result.interval.low, result.interval.mean, result.interval.high) == (0, 0, 0)
    assert not result.significant


def test_a_gain_on_every_query_is_significant() -> None:
    result = paired_bootstrap(np.full(50, 0.1))
    assert result.p_value == pytest.approx(1 / 10_001)
    assert result.interval.low == pytest.approx(0.1)
    assert result.significant


def test_a_loss_that_all_but_one_query_share_is_significant() -> None:
    assert paired_bootstrap(np.array([-0.1] * 29 + [0.0])).significant


def test_two_changed_queries_in_a_hundred_prove_nothing() -> None:
    assert not paired_bootstrap(np.array([0.3, 0.3] + [0.0] * 98)).significant


def test_the_p_value_agrees_with_the_t_test_on_well_behaved_numbers() -> None:
    from scipy.stats import ttest_1samp

    differences = np.random.default_rng(3).normal(0.02, 0.1, size=200)
    assert paired_bootstrap(differences).p_value == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_false_alarms_come_at_the_promised_rate() -> None:
    random = np.random.default_rng(5)
    alarms = sum(paired_bootstrap(random.normal(size=40), seed=n, **few).significant for n in range(400))
    assert 0.02 <= alarms / 400 <= 0.10


@settings(max_examples=40, deadline=None)
@given(scores)
def test_swapping_the_runs_mirrors_the_result(values: list[float]) -> None:
    there, back = paired_bootstrap(np.array(values), **few), paired_bootstrap(-np.array(values), **few)
    assert there.p_value == back.p_value
    assert there.interval.low == pytest.approx(-back.interval.high)
    assert there.interval.high == pytest.approx(-back.interval.low)


@settings(max_examples=40, deadline=None)
@given(scores)
def test_the_interval_lies_within_the_data_and_the_p_value_within_its_bounds(values: list[float]) -> None:
    result = paired_bootstrap(np.array(values), **few)
    assert min(values) - 1e-9 <= result.interval.low <= result.interval.high <= max(values) + 1e-9
    assert 0 < result.p_value <= 1
    assert result.queries == len(values)


@settings(max_examples=20, deadline=None)
@given(scores)
def test_the_same_seed_gives_the_same_result(values: list[float]) -> None:
    assert paired_bootstrap(np.array(values), **few) == paired_bootstrap(np.array(values), **few)
    assert bootstrap_mean(np.array(values), **few) == bootstrap_mean(np.array(values), **few)


def test_bounded_stacks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0.05, 0.2, size=30)
    whole = paired_bootstrap(values)
    monkeypatch.setattr(significance, "_CELLS_AT_A_TIME", 1000)
    assert paired_bootstrap(values) == whole


def test_the_interval_of_a_mean_covers_it_as_often_as_promised() -> None:
    random = np.random.default_rng(7)
    intervals = [bootstrap_mean(random.normal(0.5, 0.2, size=60), seed=n, **few) for n in range(300)]
    assert 0.90 <= sum(interval.low <= 0.5 <= interval.high for interval in intervals) / 300 <= 0.99


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan")], [float("inf"), 1]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        paired_bootstrap(np.array(values))
