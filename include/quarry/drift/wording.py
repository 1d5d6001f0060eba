"""Which words have become common? Another style, language or extraction shows here before it does in vectors.

Source: T. Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", 1993: the log-likelihood ratio,
here of the documents that have a word, and only of words that the window has more often. The ten greatest are added up,
because few words tell where few documents changed; what chance makes of that sum is found by permutation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import xlogy

from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Float32

NAME = "wording"
FLOOR = 0.01
"""Of a window of a hundred: what ten words give that 4 % of its documents have, and nothing before had."""
TELLING = 10
_LEAST_DOCUMENTS = 3


@dataclass(frozen=True, slots=True)
class Gain:
    """A word, by its number, with the share of the window's and of the reference's documents that have it."""

    word: int
    window: float
    reference: float


def wording(reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Statistic:
    """The share of a window whose documents all have ten new words that would tell as much, less what chance tells."""
    _, table, split = _tabulate(reference.sample, window.texts)
    labels = deal_labels(*split, permutations=permutations, seed=seed)
    if not table.shape[1]:
        return _statistic(0.0, 1.0)
    ratios, _ = _compare(table, labels)
    telling = min(TELLING, len(ratios))
    sums = np.partition(ratios, -telling, axis=0)[-telling:].sum(axis=0)
    wholly_new = 2 * split[1] * np.log(sum(split) / split[1]) * telling
    return _statistic(float((sums[0] - sums[1:].mean()) / wholly_new), p_value(sums))


def most_telling(reference: Reference, window: Window, count: int = TELLING) -> list[Gain]:
    """The words that speak most for a difference, the surest first."""
    words, table, split = _tabulate(reference.sample, window.texts)
    labels = deal_labels(*split, permutations=0, seed=0)
    ratios, gains = _compare(table, labels)
    inside = (table.T @ labels)[:, 0] / split[1]
    order = [row for row in np.argsort(-ratios[:, 0], kind="stable")[:count] if ratios[row, 0] > 0]
    return [Gain(int(words[row]), float(inside[row]), float(inside[row] - gains[row, 0])) for row in order]


def _statistic(value: float, probability: float) -> Statistic:
    meaning = "share of the window that its most telling words mark as new, above chance"
    return Statistic(NAME, value=value, floor=FLOOR, p_value=probability, meaning=meaning)


def _tabulate(past: Embedded, present: Embedded) -> tuple[NDArray[np.uint32], csr_array, tuple[int, int]]:
    """Words `[w]` that enough documents have, who has which `[m, w]`, and how many documents each side has."""
    documents = [*past.words_by_document(), *present.words_by_document()]
    words, columns, counts = np.unique(np.concatenate(documents), return_inverse=True, return_counts=True)
    rows = np.repeat(np.arange(len(documents)), [len(each) for each in documents])
    table = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(documents), len(words)))
    kept = np.flatnonzero(counts >= _LEAST_DOCUMENTS)
    return words[kept], table[:, kept], (past.document_count, present.document_count)


def _compare(table: csr_array, labels: Float32) -> tuple[Float32, Float32]:
    """By word and permutation `[w, 1 + p]`: the log-likelihood ratio of a gain, 0 for a loss, and the gain itself."""
    documents, window = len(labels), float(labels[:, 0].sum())
    having, inside = np.asarray(table.sum(axis=0))[:, None], np.asarray(table.T @ labels)
    expected = having * window / documents
    gains = inside / window - (having - inside) / (documents - window)
    outside, expected_outside = having - inside, having - expected
    ratios = 2 * (xlogy(inside, inside / expected) + xlogy(outside, outside / expected_outside))
    return np.where(gains > 0, ratios, 0).astype(np.float32), gains.astype(np.float32)
