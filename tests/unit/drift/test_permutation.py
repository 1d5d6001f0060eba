"""Labels are dealt to whole documents, the truth comes first, and a p-value is never zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.drift.permutation import deal_labels, p_value


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
def test_every_column_has_as_many_window_labels_as_the_window_has_documents(reference, window, seed) -> None:
    labels = deal_labels(reference, window, permutations=20, seed=seed)
    assert labels.shape == (reference + window, 21)
    np.testing.assert_array_equal(labels.sum(axis=0), window)
    np.testing.assert_array_equal(labels[:, 0], [0] * reference + [1] * window)


def test_columns_differ() -> None:
    labels = deal_labels(20, 20, permutations=50, seed=0)
    assert len({column.tobytes() for column in labels.T}) == 51


def test_the_p_value_counts_the_observed_one_and_ties() -> None:
    assert p_value(np.array([5.0, 1, 2, 3])) == 1 / 4
    assert p_value(np.array([5.0, 5, 2, 3])) == 2 / 4
    assert p_value(np.array([0.0, 0, 0, 0])) == 1
    assert p_value(np.array([-5.0, 1, 2, 3])) == 1


def test_p_values_without_drift_are_uniform() -> None:
    random = np.random.default_rng(3)
    found = []
    for seed in range(400):
        values = random.normal(size=40).astype(np.float32)
        labels = deal_labels(25, 15, permutations=99, seed=seed)
        found.append(p_value(values @ labels))
    for share in (0.05, 0.25, 0.5):
        assert np.mean(np.array(found) <= share) == pytest.approx(share, abs=0.06)
