"""Fixed texts whose vectors must not move. If they do, the embedding model is another one than it was.

That is an alarm and not a drift: every vector made since is wrong, and no re-clustering helps.
"""

import numpy as np

from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Vectors

NAME = "sentinels"
FLOOR = 1e-3
"""Engines agree on a spec to cosine .999 or better; see `EmbeddingSpec`."""

SENTINELS = (
    "The quarry opens at seven in the morning and closes before dark.",
    "How do I restore a database from last night's backup?",
    "def area(radius: float) -> float:\n    return 3.14159 * radius**2",
    "| part | price |\n|---|---|\n| bolt | 0.12 |\n| bearing | 4.80 |",
    "Die Lieferung verzögert sich um zwei Wochen, weil das Schiff im Hafen liegt.",
    "El contrato entra en vigor el primero de enero y se renueva cada año.",
    "Pressure rises with temperature at constant volume: p V = n R T.",
    "ERROR 2024-02-29 23:59:59 connection refused: 10.0.0.7:5432",
    "granite",
    "  spaces,\ttabs\nand lines; a — dash, “quotes”, an ellipsis… and 100 % of the naïve café ☕",
    " ".join(f"Step {number}: lift stone {number * 7} onto cart {number % 5}." for number in range(1, 61)),
)
"""Prose, a question, code, a table, other languages, numbers, one word, odd characters, and more than the model reads.
Changing one makes every reference kept so far useless."""


def sentinels(reference: Reference, vectors: Vectors) -> Statistic:
    """One less the smallest cosine between the vectors of SENTINELS now, `[t, d]`, and at the reference's making.

    Raises `ForeignVectors` when they are of another space, and `InvalidInput` when they are not as many.
    """
    if vectors.fingerprint != reference.fingerprint:
        raise ForeignVectors(
            f"sentinels were encoded in space {vectors.fingerprint}, the reference is of {reference.fingerprint}; "
            "encode them with the spec of the live version"
        )
    if vectors.values.shape != reference.sentinels.shape:
        raise InvalidInput(
            f"sentinel vectors are {vectors.values.shape}, the reference has {reference.sentinels.shape}; "
            "encode SENTINELS, or make a new reference if they were changed"
        )
    cosines = np.sum(vectors.values * reference.sentinels, axis=1, dtype=np.float64)
    cosines /= np.linalg.norm(vectors.values, axis=1) * np.linalg.norm(reference.sentinels, axis=1)
    return Statistic(
        NAME,
        value=float(1 - cosines.min()),
        floor=FLOOR,
        p_value=None,
        meaning="one less the smallest cosine of a fixed text's vector with its former one",
        details={"moved": float(np.count_nonzero(1 - cosines >= FLOOR)), "texts": float(len(cosines))},
    )
