"""A window against a reference, from vectors to verdict."""

from include.quarry.drift.centroid_distance import centroid_distance
from include.quarry.drift.cluster_mass import cluster_mass
from include.quarry.drift.domain_classifier import domain_classifier
from include.quarry.drift.mmd import mmd
from include.quarry.drift.permutation import PERMUTATIONS
from include.quarry.drift.reference import Reference
from include.quarry.drift.sentinels import sentinels
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.verdict import State, Verdict, insufficient_data, judge, model_changed
from include.quarry.drift.window import Window, check_space, sampled
from include.quarry.drift.wording import wording
from include.quarry.records import Vectors

STATISTICS = (centroid_distance, cluster_mass, wording, mmd, domain_classifier)
MIN_DOCUMENTS = 20


def detect(
    reference: Reference,
    window: Window,
    sentinel_vectors: Vectors | None,
    state: State,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Verdict:
    """Judge the window. `sentinel_vectors` are SENTINELS encoded now; None leaves that check out.

    The sentinels come first, for nothing else means anything if they moved. The window is sampled to a bounded number
    of documents, so the time does not grow with it. Fewer than 499 permutations cannot make one window a drift.
    Raises `ForeignVectors` when the window is of another space.
    """
    checked: tuple[Statistic, ...] = ()
    if sentinel_vectors is not None:
        checked = (sentinels(reference, sentinel_vectors),)
        if checked[0].matters:
            return model_changed(checked[0], state)
    check_space(reference.fingerprint, window.texts)
    if reason := _too_few(reference, window):
        return insufficient_data(reason, state, checked)
    some = sampled(window, seed)
    tested = [measure(reference, some, permutations=permutations, seed=seed) for measure in STATISTICS]
    return judge([*checked, *tested], state)


def _too_few(reference: Reference, window: Window) -> str:
    arrived, held_out = window.texts.document_count, reference.unfitted.document_count
    if arrived < MIN_DOCUMENTS:
        return (
            f"the window has {len(window)} chunks of {arrived} documents; at least {MIN_DOCUMENTS} documents are "
            "needed, however many chunks they have; wait for more, or judge a longer window"
        )
    if held_out < MIN_DOCUMENTS:
        return (
            f"the reference holds out {held_out} of {reference.documents} documents; at least {MIN_DOCUMENTS} are "
            "needed; make a new reference when the corpus has grown"
        )
    return ""
