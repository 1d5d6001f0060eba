"""New words in some documents are found, and named, where no vector has moved."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import power_divergence

from include.quarry.drift.wording import most_telling, wording

NEW_WORDS = np.arange(90_000, 90_012, dtype=np.uint32)


@pytest.fixture
def reference(texts_of, topics_of, reference_of):
    return reference_of(texts_of(1, topics_of(1, 200)))


@pytest.fixture
def window(texts_of, topics_of, window_of):
    """Sixty documents of the usual kind, the first `share` of them with words that nobody used before."""

    def make(share: int):
        texts = texts_of(2, topics_of(2, 60))
        changed = {f"doc{number}" for number in range(share)}
        pairs = zip(texts.words, texts.documents, strict=True)
        words = tuple(np.union1d(own, NEW_WORDS) if name in changed else own for own, name in pairs)
        return window_of(replace(texts, words=words))

    return make


def test_boilerplate_in_a_tenth_of_the_window_is_found_though_no_vector_has_moved(reference, window) -> None:
    found = wording(reference, window(6), permutations=399)
    assert found.p_value <= 0.005
    assert found.matters


def test_the_usual_words_are_no_drift(reference, window) -> None:
    found = wording(reference, window(0), permutations=399)
    assert found.p_value > 0.05


def test_the_new_words_are_named_with_their_shares(reference, window) -> None:
    told = most_telling(reference, window(30), count=12)
    assert {gain.word for gain in told} == set(NEW_WORDS.tolist())
    assert {(gain.window, gain.reference) for gain in told} == {(0.5, 0.0)}


def test_texts_without_words_say_nothing(reference, texts_of, topics_of, reference_of, window_of) -> None:
    mute = [replace(texts, words=(np.array([], np.uint32),) * len(texts)) for texts in (texts_of(1, [0] * 60),) * 2]
    found = wording(reference_of(mute[0]), window_of(mute[1]), permutations=99)
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert most_telling(reference_of(mute[0]), window_of(mute[1])) == []


def test_the_ratio_is_dunnings_over_the_documents_that_have_the_word(reference, window) -> None:
    from scipy.sparse import csr_array

    from include.quarry.drift.permutation import deal_labels
    from include.quarry.drift.wording import _compare

    table = csr_array(np.array([[1], [0], [0], [1], [1], [0]], dtype=np.float32))
    ratios, gains = _compare(table, deal_labels(3, 3, permutations=0, seed=0))
    expected = power_divergence([2, 1], [1.5, 1.5], lambda_="log-likelihood").statistic
    assert ratios[0, 0] == pytest.approx(expected)
    assert gains[0, 0] == pytest.approx(1 / 3)
