"""The Ray Data backfill against the bare engine: the same texts in the same units of 64.

The bare engine encodes every second unit before the job and the others after it, so that a machine whose load drifts
burdens both alike. The job is the product's, on a cluster and with a catalog of its own. What it took to start is told
from what it does afterwards by the times at which it wrote its parts.
"""

import itertools
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from include.quarry.catalog.database import Database, migrate
from include.quarry.embedding.engine import embedders
from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.embedding.text_encoder import TextEncoder
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Upserted
from include.quarry.lake.backfill import Unit, plan_units
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.operations.installation import REPOSITORY
from include.quarry.operations.programs import environment_of, ray
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec
from tests.benchmarks.cluster import bench_settings, ray_head
from tests.benchmarks.report import Report, Row

NAME = "backfill_rate"
CORPUS = "bench"
UNIT_SIZE = 64
MIN_RATE = 0.85
_TOKENS = 254
_A_TRANSACTION = 500


@dataclass(frozen=True, slots=True)
class Backfill:
    """Times of one job in seconds: until its first part was written, from there to the last, and altogether."""

    start_s: float
    steady_s: float
    total_s: float


def run(folder: Path, chunks: int) -> Report:
    """Embed `chunks` chunks twice: with the bare engine, and with the job."""
    home, models = folder / NAME, folder / "home" / "models"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models)
    settings = bench_settings(home)
    units = ingest(settings, chunks)
    texts = sum(len(unit.texts) for unit in units)
    print(f"{texts} chunks in {len(units)} units; the bare engine does the first half", flush=True)
    bare_s = [_encode(units[0::2], settings)]
    print("the job", flush=True)
    job = _backfill(settings)
    print("the bare engine does the second half", flush=True)
    bare_s.append(_encode(units[1::2], settings))
    shutil.rmtree(home)
    bare = [_rate(half, seconds) for half, seconds in zip((units[0::2], units[1::2]), bare_s, strict=True)]
    whole = texts / sum(bare_s)
    steady = _rate(units[1:], job.steady_s)
    rows = [
        Row("chunks/s once started", bare, [steady], steady / whole, at_least=MIN_RATE),
        Row("chunks/s, start included", bare, [texts / job.total_s], texts / job.total_s / whole),
    ]
    notes = [
        f"{texts} chunks; the job wrote its first unit after {job.start_s:.1f} s and ended {job.total_s:.1f} s after "
        "it was started"
    ]
    return Report(NAME, rows, notes)


def ingest(settings: Settings, count: int) -> list[Unit]:
    """Put `count` documents of one chunk each into the log; what the job will plan."""
    migrate(settings.catalog_url)
    database, spec = Database(settings.catalog_url), settings.index_spec()
    ingestor = Ingestor(database, make_chunker, settings.max_document_bytes)
    keys = (DocumentKey(CORPUS, "default", str(number)) for number in range(count))
    texts = _texts(count, spec.embedding)
    raws = (RawDocument(key, key.doc_id, text.encode(), "text/plain") for key, text in zip(keys, texts, strict=True))
    begins: str | None = None
    while changes := [Upserted(raw) for raw in itertools.islice(raws, _A_TRANSACTION)]:
        ends = changes[-1].raw.key.doc_id
        ingestor.accept(NAME, [Batch("", begins, changes, ends)])
        begins = ends
    with database.read() as connection:
        window = PendingQuery(CORPUS, spec.chunker.fingerprint, spec.embedding.fingerprint)
        units = list(plan_units(pending_texts(connection, window), UNIT_SIZE))
    database.close()
    return units


def _texts(count: int, spec: EmbeddingSpec) -> list[str]:
    """Texts that just fit into one chunk, no two alike: sentences of Python's language reference, drawn at random."""
    prose = " ".join(topics[name] for name in sorted(topics))
    sentences = [each for each in re.split(r"(?<=[.:])\s+", prose) if 30 < len(each) < 250]
    lengths = list(map(len, TextEncoder(find_model_folder(spec), spec.max_tokens).token_ids(sentences)))
    choice = random.Random(0)
    texts = []
    for _ in range(count):
        members: list[str] = []
        tokens = 0
        while tokens + lengths[drawn := choice.randrange(len(sentences))] <= _TOKENS:
            members.append(sentences[drawn])
            tokens += lengths[drawn]
        texts.append(" ".join(members))
    return texts


def _encode(units: Sequence[Unit], settings: Settings) -> float:
    """Seconds that a warm engine in this process takes."""
    engine = embedders(settings)(settings.index_spec().embedding)
    engine.encode(units[-1].texts)
    started = time.perf_counter()
    for unit in units:
        engine.encode(unit.texts)
    return time.perf_counter() - started


def _backfill(settings: Settings) -> Backfill:
    with ray_head(settings) as installation:
        environment = environment_of(ray(installation), installation)
        environment["RAY_ADDRESS"] = f"{settings.host}:{settings.ray_gcs_port}"
        command = [sys.executable, "-m", "ray_apps.jobs.embed_corpus", f"--corpus={CORPUS}"]
        started, clock = time.time(), time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        total_s = time.perf_counter() - clock
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    written = sorted(path.stat().st_mtime for path in Path(settings.lake_uri).rglob("*.parquet"))
    return Backfill(written[0] - started, written[-1] - written[0], total_s)


def _rate(units: Sequence[Unit], seconds: float) -> float:
    return sum(len(unit.texts) for unit in units) / seconds
