"""A new index version of a corpus whose vectors are in the lake: nothing is embedded, and it takes a fraction of that.

The vectors are drawn at random around some hundred centres, since their values do not matter to the time. What
embedding would take is the bare engine's rate over a sample of the same texts, measured before and after the build.
"""

import random
import shutil
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import vectors
from include.quarry.embedding.engine import embedders
from include.quarry.lake.backfill import Unit
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Float32, Vectors
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from tests.benchmarks.backfill_rate import CORPUS, ingest
from tests.benchmarks.cluster import bench_settings
from tests.benchmarks.report import Report, Row

NAME = "reindex"
MIN_RATIO = 5.0
_SAMPLE = 512
_CENTRES = 300
_UNITS_A_PART = 32
_PART = "drawn-"


def run(folder: Path, chunks: int) -> Report:
    """Build a version of `chunks` chunks."""
    home, models = folder / NAME, folder / "home" / "models"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models)
    settings = bench_settings(home)
    print(f"ingesting {chunks} documents", flush=True)
    units = ingest(settings, chunks)
    _fill_lake(units, settings)
    texts = [text for unit in random.Random(0).sample(units, _SAMPLE // 64) for text in unit.texts]
    rates = [_engine_rate(texts, settings)]
    print("building", flush=True)
    began = time.perf_counter()
    built = build_version("bench", CORPUS, settings.index_spec(), settings)
    build_s = time.perf_counter() - began
    proof = check_completeness("bench", settings)
    prove_s = time.perf_counter() - began - build_s
    rates.append(_engine_rate(texts, settings))
    embedded = _embedded(settings)
    shutil.rmtree(home)
    embed_s = chunks / (sum(rates) / len(rates))
    rows = [
        Row("embedding against building, s", [embed_s], [build_s], embed_s / build_s, at_least=MIN_RATIO),
        Row("texts embedded", [], [float(embedded)], float(embedded), "texts", at_most=0),
    ]
    said = f"{built['chunks']} chunks in digest {proof['digest'][:12]}"
    notes = [f"{said}; the proof of completeness took {prove_s:.1f} s more"]
    return Report(NAME, rows, notes)


def _fill_lake(units: list[Unit], settings: Settings) -> None:
    database = Database(settings.catalog_url)
    lake, spec = VectorLake(database, settings.lake_uri), settings.index_spec().embedding
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(_CENTRES, spec.dimensions))
    for start in range(0, len(units), _UNITS_A_PART):
        hashes = [each for unit in units[start : start + _UNITS_A_PART] for each in unit.hashes]
        rows = centres[draw.integers(0, _CENTRES, len(hashes))] + 0.7 * draw.normal(size=(len(hashes), spec.dimensions))
        values: Float32 = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        lake.put_part(f"{_PART}{start:06}", hashes, Vectors(spec.fingerprint, values))
    database.close()


def _engine_rate(texts: list[str], settings: Settings) -> float:
    engine = embedders(settings)(settings.index_spec().embedding)
    engine.encode(texts[:64])
    began = time.perf_counter()
    engine.encode(texts)
    return len(texts) / (time.perf_counter() - began)


def _embedded(settings: Settings) -> int:
    """Texts in the lake that this benchmark did not put there: parts of other names, and inline vectors."""
    database = Database(settings.catalog_url)
    with database.read() as connection:
        others = sa.or_(vectors.c.part.is_(None), ~vectors.c.part.contains(_PART))
        count = connection.scalar(sa.select(sa.func.count()).select_from(vectors).where(others))
    database.close()
    return int(count or 0)
