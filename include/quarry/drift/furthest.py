"""The documents that lie furthest from every centroid: what a person reads first when a drift is called."""

from dataclasses import dataclass

import numpy as np

from include.quarry.drift.centroid_distance import document_distances
from include.quarry.drift.reference import Reference
from include.quarry.drift.window import Window


@dataclass(frozen=True, slots=True)
class FarDocument:
    """A document with its mean distance to the nearest centroid, and the share of the reference that lies nearer."""

    document: str
    distance: float
    reference_share_nearer: float


def furthest(reference: Reference, window: Window, count: int) -> list[FarDocument]:
    """The `count` furthest documents of the window, the furthest first."""
    past = np.sort(document_distances(reference.unfitted, reference))
    distances = document_distances(window.texts, reference)
    names = sorted(set(window.texts.documents))
    nearer = np.searchsorted(past, distances) / len(past)
    order = np.argsort(-distances, kind="stable")[:count]
    return [FarDocument(names[row], float(distances[row]), float(nearer[row])) for row in order]
