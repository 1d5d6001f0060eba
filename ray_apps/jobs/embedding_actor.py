"""The actor that embeds units: one engine, which takes units from several threads."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import ray
import ray._private.state

from include.quarry.catalog.database import Database
from include.quarry.embedding.protocol import Embedder
from include.quarry.lake.backfill import Unit, embed_unit
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings
from ray_apps.jobs.background import give_way
from ray_apps.jobs.departure import Departure
from ray_apps.jobs.node_watch import CLASS_LABEL
from ray_apps.jobs.worker_journal import WorkerJournal

_HAND_OVER_S = 0.5


class EmbedUnits:
    """Embeds under a name that no other process ever has: `plan/attempt/worker`.

    `attempt` is the attempt's folder, named by its number; the worker keeps its journal there.
    """

    def __init__(self, settings: Settings, make_embedder: Callable[[], Embedder], plan: str, attempt: Path) -> None:
        give_way()
        context, worker = ray.get_runtime_context(), uuid4().hex[:12]
        self._node = context.get_node_id()
        self._owner = f"{plan}/{attempt.name}/{worker}"
        self._journal = WorkerJournal(attempt / f"{worker}.jsonl")
        self._journal.note("started", node=self._node, node_class=context.get_node_labels().get(CLASS_LABEL, ""))
        self._departure = Departure(self._node_is_draining, self._leave)
        self._departure.watch()
        self._database = Database(settings.catalog_url)
        self._lake = VectorLake(self._database, settings.lake_uri)
        self._embedder = make_embedder()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One receipt per unit of the batch."""
        rows = [self._embed(Unit(**row)) for row in batch.to_pylist()]
        return pa.Table.from_pylist(rows)

    def _embed(self, unit: Unit) -> dict[str, Any]:
        with self._departure.unit():
            self._journal.note("begun", unit=unit.unit_id)
            receipt = embed_unit(unit, self._database, self._lake, self._embedder, self._owner)
            figures = {"discarded": receipt.discarded, "engine_s": receipt.engine_s}
            self._journal.note("ended", unit=unit.unit_id, kept=receipt.kept, found=receipt.found, **figures)
        return {"unit_id": unit.unit_id, "texts": receipt.texts, "embedded": receipt.embedded} | figures

    def _node_is_draining(self) -> bool:
        return self._node in ray._private.state.state.get_draining_nodes()  # as Ray Data asks; there is no public way

    def _leave(self) -> None:
        self._journal.note("noticed")
        time.sleep(_HAND_OVER_S)  # lets the last receipt go out; lost, it would cost a claim that finds nothing to do
        os._exit(1)  # not by `exit_actor`, after which Ray would not start the actor again elsewhere
