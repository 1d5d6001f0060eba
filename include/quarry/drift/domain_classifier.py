"""Can a classifier tell new content from old, and how sure is it of what it has not seen?

Source: D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. The classifier is linear and
fitted by regularised least squares: its scores of documents it was not fitted to are then linear in the labels, so that
one matrix serves every permutation, and the p-value is of the cross-validated result itself, whose folds are not
independent (which bounds that treat them as such forget).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from include.quarry.drift.documents import document_means
from include.quarry.drift.excess import FLOOR, excess_test
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Window
from include.quarry.records import Float32

NAME = "domain_classifier"
_FOLDS = 5
_RIDGE = 1.0
"""In mean squared lengths of a document: a window has fewer documents than the space has dimensions."""


def domain_classifier(
    reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Statistic:
    """The mean squared excess of documents' out-of-fold scores, window over reference.

    The AUC is in the details: .5 is blind, and a window of which a share `s` is wholly new, and the rest as ever, can
    be told with .5 + s / 2. It is not what is tested, because it counts the rest as much as the share.
    """
    past, present = (document_means(t.values, t.documents) for t in (reference.sample, window.texts))
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    scores = out_of_fold(np.concatenate([past, present]), seed) @ labels
    ratio, probability = excess_test(scores, labels)
    return Statistic(
        NAME,
        value=ratio,
        floor=FLOOR,
        p_value=probability,
        meaning="mean squared excess of a window-or-reference classifier's score, as a multiple of the reference's",
        details={"auc": area_under_curve(scores[:, 0], len(past))},
    )


def out_of_fold(values: Float32, seed: int) -> Float32:
    """The matrix `[m, m]` that turns labels into scores: each row is fitted on the other folds' documents only."""
    folds = np.random.default_rng([seed, 2]).permutation(len(values)) % _FOLDS
    matrix = np.zeros((len(values), len(values)), dtype=np.float32)
    for fold in range(_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        centre = values[train].mean(axis=0)
        known, unknown = values[train] - centre, values[test] - centre
        gram = known @ known.T
        ridge = _RIDGE * np.trace(gram) / min(known.shape)
        weights = np.linalg.solve(gram + ridge * np.eye(len(train), dtype=np.float32), known @ unknown.T).T
        matrix[np.ix_(test, train)] = weights - weights.mean(axis=1, keepdims=True)  # the labels are centred, too
    return matrix


def area_under_curve(scores: NDArray[np.floating], reference: int) -> float:
    """The AUC of scores `[m]`, of which the first `reference` are the reference's: Mann and Whitney's rank sum."""
    window = len(scores) - reference
    ranks = rankdata(scores)[reference:].sum()
    return float((ranks - window * (window + 1) / 2) / (window * reference))
