"""FAISS structures for parts too large to scan: a graph (HNSW), inverted lists (IVF) or nothing but the codes (SQ8),
a byte a dimension in each.

They only propose candidates; the caller scores those again on the full vectors. So the codes may be coarse, which
keeps a million vectors of 384 dimensions at about 0.7 GB (HNSW) or 0.4 GB (IVF, SQ8) instead of 1.8 GB.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np

from include.quarry.records import Float32
from include.quarry.specs import StoreKind
from include.quarry.stores.columns import Mask, Rows

faiss: Any = _faiss  # its type stubs lack most of what SWIG exports

_LINKS = 32
_BUILD_BREADTH = 80
_SEARCH_BREADTH = 128
_PROBED_SHARE = 16
_TRAINING_ROWS = 64
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Where exact search ends and where the graph ends, in rows.

    `exact_rows`: scanning 50,000 rows of 384 float32 reads 77 MB, about 5 ms on one core: what encoding the query
    costs, and nothing is lost. Scopes that select fewer rows are scanned exactly at any size of the store.
    `ivf_rows`: on text vectors a graph found .997 of the 100 nearest and lists .955, at the same speed; but inserting
    into the graph costs four times the processor time (320 against 90 us a row) and 1.7 times the memory, so that at
    two million rows it takes a quarter of an hour on one core and 1.4 GB.
    """

    exact_rows: int = 50_000
    ivf_rows: int = 2_000_000


def build(kind: StoreKind, vectors: Float32, limits: Limits) -> Any | None:
    """The structure for these vectors `[n, d]`, or None where a scan is better."""
    count, dimensions = vectors.shape
    if kind == "auto":
        kind = "flat" if count <= limits.exact_rows else "hnsw" if count <= limits.ivf_rows else "ivf"
    if kind == "flat" or not count:
        return None
    lists = max(1, min(round(4 * sqrt(count)), count // 39))
    recipes = {"hnsw": f"HNSW{_LINKS}_SQ8", "ivf": f"IVF{lists},SQ8", "sq8": "SQ8"}
    index = faiss.index_factory(dimensions, recipes[kind], faiss.METRIC_INNER_PRODUCT)
    if kind == "hnsw":
        index.hnsw.efConstruction = _BUILD_BREADTH
    index.train(_sample(vectors, max(_TRAINING_ROWS * lists, _BLOCK)))
    for start in range(0, count, _BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + _BLOCK]))
    return index


def candidates(index: Any, query: Float32, k: int, mask: Mask | None, selected: int) -> Rows:
    """Rows worth scoring for one query `[d]`: more than `k`, and the rarer the selected rows, the wider the search."""
    wanted = min(2 * k + 32, index.ntotal)
    widening = index.ntotal / max(1, selected)
    selector = None if mask is None else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    if isinstance(index, faiss.IndexIVF):
        probes = min(index.nlist, ceil(widening * max(8, index.nlist / _PROBED_SHARE)))
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
    elif isinstance(index, faiss.IndexScalarQuantizer):
        parameters = faiss.SearchParameters(sel=selector)
    else:
        breadth = min(index.ntotal, ceil(widening * max(_SEARCH_BREADTH, wanted)))
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=breadth)
    _, rows = index.search(query[np.newaxis], wanted, params=parameters)
    return np.asarray(rows[0][rows[0] >= 0], np.int64)


def write(index: Any, path: Path) -> None:
    """The file that `read` takes."""
    faiss.write_index(index, str(path))


def read(path: Path) -> Any:
    """The structure written by `write`, in memory."""
    return faiss.read_index(str(path))


def _sample(vectors: Float32, size: int) -> Float32:
    """Evenly spread rows; the same ones every time."""
    step = max(1, len(vectors) // size)
    return np.ascontiguousarray(vectors[::step][:size])
