"""What every statistic promises, and the formula of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import mannwhitneyu

from include.quarry.drift.centroid_distance import centroid_distance
from include.quarry.drift.cluster_mass import cluster_mass, cubed_gains, jensen_shannon, stability_index
from include.quarry.drift.detection import STATISTICS
from include.quarry.drift.domain_classifier import area_under_curve, domain_classifier, out_of_fold
from include.quarry.drift.excess import excess_test
from include.quarry.drift.mmd import rbf_kernel, squared_discrepancies, whiten
from include.quarry.drift.permutation import deal_labels, p_value

NEW, KNOWN = 9, 0


@pytest.fixture(params=STATISTICS, ids=lambda statistic: statistic.__name__)
def statistic(request):
    return request.param


@pytest.fixture
def reference(texts_of, topics_of, reference_of):
    return reference_of(texts_of(1, topics_of(1, 200)))


def test_it_names_itself_and_carries_an_effect_a_floor_and_a_probability(
    statistic, reference, texts_of, topics_of, window_of
) -> None:
    found = statistic(reference, window_of(texts_of(2, topics_of(2, 60))), permutations=99)
    assert found.name == statistic.__name__
    assert 0.01 <= found.p_value <= 1
    assert np.isfinite([found.value, found.floor, *found.details.values()]).all()


def test_the_same_window_gives_the_same_numbers(statistic, reference, texts_of, topics_of, window_of) -> None:
    window = window_of(texts_of(2, topics_of(2, 60)))
    assert statistic(reference, window, permutations=99) == statistic(reference, window, permutations=99)


def test_it_finds_a_window_that_is_half_new(statistic, reference, texts_of, topics_of, window_of) -> None:
    found = statistic(reference, window_of(texts_of(2, [NEW] * 30 + topics_of(2, 30))), permutations=199)
    assert found.p_value <= 0.01
    assert found.matters


def test_a_document_of_many_chunks_counts_once(statistic, reference, texts_of, topics_of, window_of) -> None:
    """One long document about something new among sixty of the usual is no drift, however many chunks it has."""
    usual, long = texts_of(2, topics_of(2, 60)), texts_of(3, [NEW], chunks=(300, 300), prefix="long")
    assert statistic(reference, window_of(usual.joined(long)), permutations=199).p_value > 0.01


def test_the_order_of_the_rows_does_not_matter(statistic, reference, texts_of, topics_of, window_of) -> None:
    texts = texts_of(2, topics_of(2, 60))
    turned = texts.take(np.arange(len(texts))[::-1])
    first, second = (statistic(reference, window_of(rows), permutations=99) for rows in (texts, turned))
    assert first.value == pytest.approx(second.value, rel=1e-3, abs=1e-4)


def test_a_known_topic_that_grows_moves_mass_and_is_no_new_ground(texts_of, topics_of, reference_of, window_of) -> None:
    """A wide topic lies far out, and always did."""
    shares = []
    for seed in range(0, 20, 2):
        reference = reference_of(texts_of(seed, topics_of(seed, 200)))
        window = window_of(texts_of(seed + 1, [KNOWN] * 45 + topics_of(seed + 1, 45)))
        assert cluster_mass(reference, window, permutations=199).p_value <= 0.01
        shares.append(centroid_distance(reference, window, permutations=9).details["new_ground"])
    assert abs(np.mean(shares)) < 0.05


def test_new_ground_is_about_the_share_that_is_new(reference, texts_of, topics_of, window_of) -> None:
    for new in (0, 20, 50):
        window = window_of(texts_of(2, [NEW] * new + topics_of(2, 100 - new), chunks=(3, 3)))
        found = centroid_distance(reference, window, permutations=9).details["new_ground"]
        assert found == pytest.approx(new / 100, abs=0.08)


@given(arrays(np.int64, (2, 5), elements=st.integers(0, 1000)).filter(lambda rows: rows.sum(axis=1).min() > 0))
def test_the_divergence_is_jensens_and_shannons(rows) -> None:
    first, second = rows / rows.sum(axis=1, keepdims=True)
    expected = jensenshannon(first, second, base=2) ** 2
    assert jensen_shannon(first, second) == pytest.approx(np.nan_to_num(expected), abs=1e-9)


def test_only_gains_count_each_in_its_own_standard_error() -> None:
    gains, variances = np.array([[-0.3], [0.2], [0.1]]), np.array([0.02, 0.25, 0.02])
    found = cubed_gains(gains, variances, 900, 100)[0]
    errors = np.sqrt(variances * (1 / 900 + 1 / 100))
    assert found == pytest.approx((0.2 / errors[1]) ** 3 + (0.1 / errors[2]) ** 3, rel=0.1)
    assert cubed_gains(np.zeros((3, 1)), np.zeros(3), 900, 100)[0] == 0


def test_the_stability_index_is_zero_for_equals_and_finite_for_empty_clusters() -> None:
    mass = np.array([0.5, 0.5, 0.0])
    assert stability_index(mass, mass, 50) == 0
    assert 0.25 < stability_index(mass, np.array([0.0, 0.5, 0.5]), 50) < np.inf


def test_the_discrepancy_is_the_mean_over_pairs_of_different_documents() -> None:
    random = np.random.default_rng(0)
    kernel = random.random((7, 7))
    kernel = ((kernel + kernel.T) / 2).astype(np.float32)
    labels = deal_labels(4, 3, permutations=5, seed=0)
    for column, value in zip(labels.T, squared_discrepancies(kernel, labels), strict=True):
        window, past = np.flatnonzero(column == 1), np.flatnonzero(column == 0)

        def within(rows):
            return np.mean([kernel[i, j] for i in rows for j in rows if i != j])

        expected = within(window) + within(past) - 2 * kernel[np.ix_(window, past)].mean()
        assert value == pytest.approx(expected, abs=1e-5)


def test_the_kernel_is_gaussian_with_the_median_distance_for_its_width() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    squares = ((values[:, None] - values[None]) ** 2).sum(axis=2)
    expected = np.exp(-squares / np.median(squares[np.triu_indices(5, 1)]))
    np.testing.assert_allclose(rbf_kernel(values), expected, atol=1e-5)


def test_whitening_evens_out_the_directions_and_keeps_the_order() -> None:
    values = np.random.default_rng(0).normal(size=(500, 3)) * np.array([10, 1, 0.1])
    before, after = values.std(axis=0), np.linalg.svd(whiten(values.astype(np.float32)), compute_uv=False)
    assert after[0] / after[1] < before[0] / before[1]
    assert after[1] / after[2] == pytest.approx(before[1] / before[2], rel=0.1)


def test_scores_depend_on_no_label_of_their_own_fold() -> None:
    matrix = out_of_fold(np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32), seed=1)
    folds = np.random.default_rng([1, 2]).permutation(40) % 5
    assert not matrix[folds[:, None] == folds[None, :]].any()
    assert np.abs(matrix).sum() > 0


def test_the_area_is_that_of_mann_and_whitney() -> None:
    scores = np.random.default_rng(0).integers(0, 6, 30).astype(np.float32)
    assert area_under_curve(scores, 18) == pytest.approx(mannwhitneyu(scores[18:], scores[:18]).statistic / (18 * 12))


def test_the_excess_is_the_upper_semi_variance_and_alike_for_columns_and_for_one() -> None:
    random = np.random.default_rng(0)
    values, labels = random.normal(size=(30, 1)), deal_labels(18, 12, permutations=30, seed=0)
    ratio, probability = excess_test(values, labels)
    squares = np.maximum(values[:, 0] - np.median(values), 0) ** 2
    assert ratio == pytest.approx(squares[18:].mean() / squares[:18].mean(), rel=1e-5)
    again = excess_test(np.tile(values, (1, 31)), labels)
    assert again == (pytest.approx(ratio), probability)


def test_a_few_far_out_are_found_that_a_mean_would_drown() -> None:
    by_excess, by_mean = 0, 0
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=500)
        values[-4:] += 5
        labels = deal_labels(400, 100, permutations=199, seed=seed)
        by_excess += excess_test(values[:, None], labels)[1] <= 0.01
        by_mean += p_value(values @ labels) <= 0.01
    assert by_excess >= 18
    assert by_mean <= 10


def test_a_share_that_is_wholly_new_shows_as_half_of_it_in_the_area(texts_of, topics_of, reference_of, window_of):
    reference = reference_of(texts_of(1, topics_of(1, 300)))
    window = window_of(texts_of(2, [NEW] * 60 + topics_of(2, 140)))
    assert domain_classifier(reference, window, permutations=9).details["auc"] == pytest.approx(0.65, abs=0.06)
