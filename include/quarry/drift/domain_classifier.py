"""Can a classifier tell new content from old? Its cross-validated AUC says how much of the window is unlike the past.

Source: D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. The classifier is linear and
fitted by regularised least squares: its scores of documents it was not fitted to are then linear in the labels, so that
one matrix serves every permutation, and the p-value is of the cross-validated AUC itself, whose folds are not
independent (which bounds that treat them as such forget).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Window
from include.quarry.records import Float32

NAME = "domain_classifier"
FLOOR = 0.55
_FOLDS = 5
_RIDGE = 10.0
"""In mean squared lengths of a document: a window has fewer documents than the space has dimensions."""


def domain_classifier(
    reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Statistic:
    """The area under the ROC curve of out-of-fold scores of documents; .5 is blind. A window of which a share `s` is
    wholly new, and the rest as ever, can be told with .5 + s / 2."""
    past, present = (document_means(t.values, t.documents) for t in (reference.sample, window.texts))
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    scores = out_of_fold(np.concatenate([past, present]), seed) @ labels
    areas = areas_under_curve(scores, labels)
    return Statistic(
        NAME,
        value=float(areas[0]),
        floor=FLOOR,
        p_value=p_value(areas),
        meaning="cross-validated AUC of telling window from reference",
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
        ridge = _RIDGE * np.trace(gram) / len(train)
        weights = np.linalg.solve(gram + ridge * np.eye(len(train), dtype=np.float32), known @ unknown.T).T
        matrix[np.ix_(test, train)] = weights - weights.mean(axis=1, keepdims=True)  # the labels are centred, too
    return matrix


def areas_under_curve(scores: Float32, labels: Float32) -> NDArray[np.float64]:
    """The AUC of each column `[m, 1 + p]`: the rank sum of Mann and Whitney, ties counted half."""
    window, reference = labels[:, 0].sum(), (1 - labels[:, 0]).sum()
    ranks = rankdata(scores, axis=0)
    return np.asarray(((ranks * labels).sum(axis=0) - window * (window + 1) / 2) / (window * reference))
