"""What is remembered when an index version is promoted: the content's shape, small enough to keep with every version.

Documents are parted at random. One half, the fitted ones, gives the centroids; the sample's documents of the other
half are marked as held out, because distances of documents that centroids were fitted to are too small to compare with.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from include.quarry.drift.clustering import centroid_count, fit_centroids, nearest
from include.quarry.drift.window import Embedded
from include.quarry.errors import InvalidInput
from include.quarry.records import Float32, Vectors
from include.quarry.stores.snapshot import read_manifest, writing

Subject = Literal["content", "queries"]
RADII = (0.5, 0.9, 0.99)
_KIND = "drift-reference"
_ARRAYS = ("centroids", "counts", "radii", "sentinels", "sample", "held_out")
_FITTED_DOCUMENTS = 20_000
_FITTED_CHUNKS = 64
MAX_SAMPLE = 1000
"""Documents in the sample: with 800, a change of style in a window of 100 is found twice as often as with 400."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The memory of one corpus, or of one large tenant of it.

    centroids  float32 `[k, d]`, with `counts` int64 `[k]`: fitted vectors nearest to each
    radii      float32 `[k, 3]`: the quantiles RADII of the fitted vectors' distances to their centroid
    sample     a bounded part of the content; `held_out` bool `[s]` marks rows that no centroid was fitted to
    sentinels  float32 `[t, d]`: the vectors of the fixed texts of `sentinels.py`
    """

    corpus: str
    tenant: str | None
    subject: Subject
    made_at: datetime
    documents: int
    chunks: int
    centroids: Float32
    counts: NDArray[np.int64]
    radii: Float32
    sample: Embedded
    held_out: NDArray[np.bool_]
    sentinels: Float32

    @property
    def fingerprint(self) -> str:
        """The name of the space that everything here lives in."""
        return self.sample.vectors.fingerprint

    @property
    def unfitted(self) -> Embedded:
        """The held-out part of the sample."""
        return self.sample.take(np.flatnonzero(self.held_out))

    def save(self, folder: Path) -> None:
        """Write a new snapshot. Raises `Conflict` when the folder holds something."""
        facts = {
            "corpus": self.corpus,
            "tenant": self.tenant,
            "subject": self.subject,
            "made_at": self.made_at.isoformat(),
            "documents": self.documents,
            "chunks": self.chunks,
            "fingerprint": self.fingerprint,
        }
        arrays: tuple[NDArray[Any], ...] = (
            self.centroids,
            self.counts,
            self.radii,
            self.sentinels,
            self.sample.values,
            self.held_out,
        )
        words = pa.array(self.sample.words, pa.list_(pa.uint32()))
        rows = pa.table({"chunk_id": self.sample.chunk_ids, "document": self.sample.documents, "words": words})
        with writing(folder, _KIND, facts) as partial:
            for name, array in zip(_ARRAYS, arrays, strict=True):
                np.save(partial / f"{name}.npy", array)
            feather.write_feather(rows, str(partial / "rows.arrow"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The inverse of `save`. Raises `NotFound` or `IncompleteIndex`."""
        facts = read_manifest(folder, _KIND)
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
        rows = feather.read_table(str(folder / "rows.arrow"))
        chunk_ids, documents = (tuple(rows[column].to_pylist()) for column in ("chunk_id", "document"))
        words = tuple(np.array(row, dtype=np.uint32) for row in rows["words"].to_pylist())
        vectors = Vectors(facts.pop("fingerprint"), arrays.pop("sample"))
        made_at = datetime.fromisoformat(facts.pop("made_at"))
        return cls(**facts, **arrays, made_at=made_at, sample=Embedded(vectors, chunk_ids, documents, words))


def remember(
    texts: Embedded,
    sentinels: Vectors,
    *,
    corpus: str,
    made_at: datetime,
    tenant: str | None = None,
    subject: Subject = "content",
    seed: int = 0,
) -> Reference:
    """The reference of `texts`: all the content, or all chunks of many random documents of it.

    Raises `InvalidInput` when there are fewer than two documents, for one half of them is held out.
    """
    names = np.unique(np.array(texts.documents))
    if len(names) < 2:
        raise InvalidInput(f"corpus {corpus!r} has {len(names)} documents; a reference needs at least 2; ingest more")
    names = np.random.default_rng([seed, 4]).permutation(names)
    fitted_names, held_names = set(names[: len(names) // 2].tolist()), names[len(names) // 2 :]
    is_fitted = np.array([name in fitted_names for name in texts.documents])
    fitted = texts.take(np.flatnonzero(is_fitted)).sampled(seed, documents=_FITTED_DOCUMENTS, chunks=_FITTED_CHUNKS)
    centroids = fit_centroids(fitted.values, centroid_count(len(fitted)), seed)
    rows, distances = nearest(fitted.values, centroids)
    sample = _sample(texts, is_fitted, len(held_names), seed)
    return Reference(
        corpus=corpus,
        tenant=tenant,
        subject=subject,
        made_at=made_at,
        documents=len(names),
        chunks=len(texts),
        centroids=centroids,
        counts=np.bincount(rows, minlength=len(centroids)).astype(np.int64),
        radii=_radii(rows, distances, len(centroids)),
        sample=sample,
        held_out=np.array([name not in fitted_names for name in sample.documents]),
        sentinels=sentinels.values,
    )


def _sample(texts: Embedded, is_fitted: NDArray[np.bool_], held_documents: int, seed: int) -> Embedded:
    """At most MAX_SAMPLE documents, held-out ones first: they serve every statistic."""
    held = texts.take(np.flatnonzero(~is_fitted)).sampled(seed, documents=MAX_SAMPLE)
    room = MAX_SAMPLE - held_documents
    if room <= 0:
        return held
    fitted = texts.take(np.flatnonzero(is_fitted)).sampled(seed, documents=room)
    return held.joined(fitted)


def _radii(rows: NDArray[np.intp], distances: Float32, count: int) -> Float32:
    radii = np.zeros((count, len(RADII)), dtype=np.float32)
    for row in np.unique(rows):
        radii[row] = np.quantile(distances[rows == row], RADII)
    return radii
