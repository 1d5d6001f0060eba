"""Embed the chunks of a corpus that have no vector yet, with Ray Data, into the vector lake.

    python -m ray_apps.jobs.embed_corpus --corpus main [--from 2026-01-01 --to 2026-01-02]

A plan of units is written first. Ray Data hands the units to a pool of actors and checkpoints each one; a run that was
killed finds its plan and continues it. What was embedded is written by the actor that embedded it, under a claim, so a
unit that is handed out twice is embedded once.

The actors can be asked for on spot nodes, which vanish: on nodes that Ray labels `ray.io/market-type=spot`, and on
`on-demand` ones from the moment that the spot nodes have brought no progress for as long as the settings allow.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field
from ray.data.checkpoint import CheckpointConfig
from ray.data.context import DEFAULT_EXECUTION_NO_PROGRESS_TIMEOUT_S
from ray.data.exceptions import ExecutionTimeoutError

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import list_corpora
from include.quarry.embedding.engine import embedders
from include.quarry.embedding.protocol import Embedder
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.backfill import plan_units
from include.quarry.lake.claims import release
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings, load_settings
from include.quarry.specs import IndexSpec
from ray_apps.jobs.arguments import chosen_spec, parse_arguments
from ray_apps.jobs.backfill_report import report_of
from ray_apps.jobs.embedding_actor import EmbedUnits
from ray_apps.jobs.node_watch import CLASS_LABEL, NodeWatch
from ray_apps.jobs.progress import EmbeddingProgress

logger = logging.getLogger(__name__)
_RETRY_EVERY_S = 2.0
_INIT_DEATHS = 3  # in a row, before it is the engine's fault and not that of the nodes
_FOOTER_READERS = "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS"
_UNITS_AT_ONCE = 2  # the engine encodes one while the other is claimed, written and handed out


class EmbedCorpus(BaseModel):
    """Arguments of the job. The window is over the time of a document's newest change; open ends mean all of it."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    corpus: str = Field("main", description="corpus, or `*` for every one")
    spec: str = Field("live", description="index spec: `live` for the live version's, `default`, or JSON")
    changed_from: datetime | None = Field(None, alias="from")
    changed_until: datetime | None = Field(None, alias="to")
    unit_size: int = Field(64, ge=1, le=4096)
    min_actors: int = Field(1, ge=1)
    max_actors: int = Field(1, ge=1)
    nodes: Literal["spot", "on-demand"] | None = Field(None, description="node class; default: the settings' one")


@dataclass(frozen=True, slots=True)
class Work:
    """What one run has in hand. The folder `attempts` outlives `plan`, which is written anew for what is left."""

    job: EmbedCorpus
    settings: Settings
    make_embedder: Callable[[], Embedder]
    plan: Path

    @property
    def attempts(self) -> Path:
        """One folder for each execution, named by its number; what the workers and the nodes did lies there."""
        return self.plan.with_name(f"{self.plan.name}.attempts")


def main() -> None:
    """Run as a job: arguments from the command line, everything else from the settings."""
    job, settings = parse_arguments(EmbedCorpus, __doc__), load_settings()
    ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, logging_level=logging.WARNING)
    database = Database(settings.catalog_url)
    with database.read() as connection:
        corpora = list_corpora(connection) if job.corpus == "*" else [job.corpus]
    for corpus in corpora:
        spec = chosen_spec(job.spec, corpus, database, settings)
        run(job.model_copy(update={"corpus": corpus}), settings, spec, partial(_make_embedder, settings, spec))


def _make_embedder(settings: Settings, spec: IndexSpec) -> Embedder:
    return embedders(settings)(spec.embedding)


def run(job: EmbedCorpus, settings: Settings, spec: IndexSpec, make_embedder: Callable[[], Embedder]) -> int:
    """Embed until nothing of the window is pending; gives the number of texts embedded by this run."""
    database = Database(settings.catalog_url)
    lake = VectorLake(database, settings.lake_uri)
    chunker, space = spec.chunker.fingerprint, spec.embedding.fingerprint
    window = PendingQuery(job.corpus, chunker, space, job.changed_from, job.changed_until)
    folder = settings.home.absolute() / "backfills" / _run_name(window)
    work = Work(job, settings, make_embedder, folder)
    cut_again(database, job.corpus, make_chunker(spec.chunker))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # the same arguments name the same plan: one driver at a time may work on it
        while _plan(folder, database, lake, window, job.unit_size):
            with EmbeddingProgress(database, window):
                done = _embed_plan(work)
            shutil.rmtree(folder)
            if done == 0:
                time.sleep(_RETRY_EVERY_S)  # the rest is claimed by another worker: wait for it, or for its lease's end
        with database.write() as connection:
            release(connection, space, folder.name)
        report = report_of(work.attempts, job.corpus, space, settings.node_price_per_hour)
        if report.attempts:
            print(*report.lines(), f"report: {report.save(folder.parent / 'reports', folder.name)}", sep="\n")
            shutil.rmtree(work.attempts)
    print(json.dumps(report.summary), flush=True)
    return report.embedded


def _plan(folder: Path, database: Database, lake: VectorLake, window: PendingQuery, unit_size: int) -> bool:
    """Write the units still to do, unless a run that was killed left its plan; false when nothing is pending."""
    lake.adopt_orphans(window.fingerprint)
    if any((folder / "units").glob("*.parquet")):  # a run killed while it cleared its plan away may leave no unit
        logger.warning("continuing the plan in %s", folder)
        return True
    with database.read() as connection:
        units = list(plan_units(pending_texts(connection, window), unit_size))
    if not units:
        return False
    draft = folder / "units.writing"
    shutil.rmtree(folder, ignore_errors=True)
    draft.mkdir(parents=True)
    for number, unit in enumerate(units):
        row = pa.table({"unit_id": [unit.unit_id], "hashes": [unit.hashes], "texts": [unit.texts]})
        pq.write_table(row, draft / f"{number:06}.parquet")
    draft.rename(folder / "units")
    return True


def _embed_plan(work: Work) -> int:
    """Carry out the plan, on on-demand nodes where spot nodes do not get on with it; how many texts had a receipt."""
    nodes = work.job.nodes or work.settings.embedding_node_class
    try:
        _execute(work, nodes)
    except ExecutionTimeoutError:
        if nodes != "spot":
            raise
        print(f"no progress on spot nodes for {work.settings.spot_patience_s:g} s: going on on-demand", flush=True)
        _execute(work, "on-demand")
    if not (work.plan / "receipts").exists():
        return 0
    receipts = pq.read_table(work.plan / "receipts", columns=["embedded"])
    return int(sum(receipts["embedded"].to_pylist()))


def _execute(work: Work, nodes: str) -> None:
    """One attempt at the plan, with actors on nodes of one class; "" means any."""
    job, settings, folder = work.job, work.settings, work.plan
    attempt = work.attempts / f"{1 + sum(1 for _ in work.attempts.glob('*')):04}"
    attempt.mkdir(parents=True)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_consecutive_actor_init_deaths = _INIT_DEATHS
    patience_s = settings.spot_patience_s if nodes == "spot" else DEFAULT_EXECUTION_NO_PROGRESS_TIMEOUT_S
    context.execution_no_progress_timeout_s = patience_s
    context.checkpoint_config = CheckpointConfig(
        id_column="unit_id", checkpoint_path=str(folder / "checkpoint"), delete_checkpoint_on_success=False
    )
    context.checkpoint_config.checkpoint_actor_memory_bytes = 64 * 1024**2
    os.environ.setdefault(_FOOTER_READERS, "1")  # else Ray Data starts 32 processes to look at a plan's small files
    files = sorted(str(path) for path in (folder / "units").iterdir())
    units = ray.data.read_parquet(files).repartition(target_num_rows_per_block=1)  # else one actor gets all small files
    receipts = units.map_batches(
        EmbedUnits,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=job.min_actors,
            max_size=job.max_actors,
            max_concurrent_calls_per_actor=_UNITS_AT_ONCE,
            enable_true_multi_threading=True,
        ),
        fn_constructor_args=(settings, work.make_embedder, folder.name, attempt),
        num_cpus=settings.embedding_threads,
        label_selector={CLASS_LABEL: nodes} if nodes else None,
    )
    with NodeWatch(attempt / "nodes.json"):
        receipts.write_parquet(str(folder / "receipts"))


def _run_name(window: PendingQuery) -> str:
    """The same arguments name the same run, so that a retry finds the plan of the attempt before."""
    ends = (end.strftime("%Y%m%dT%H%M%S") if end else "open" for end in (window.changed_from, window.changed_until))
    return "_".join((window.corpus, window.chunker, window.fingerprint, *ends))


if __name__ == "__main__":
    main()
