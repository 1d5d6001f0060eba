"""Runs of one corpus go one after another, and runs of different corpora side by side.

Runs line up in the catalog, and the first one has the turn until Airflow says that it runs no more. So nothing has to
be given back, and who dies, is ended by hand or is deleted keeps nobody waiting. A run that is cleared after its end
may have lost the turn to another one. Therefore each task asks for it as it starts.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from include.quarry.catalog.database import opened
from include.quarry.catalog.turns import has_turn, leave_line, line_up, runs_ahead
from include.quarry.errors import Unavailable
from include.quarry.settings import load_settings


class CorpusTurn(BaseOperator):
    """Waits, without a worker slot, until no run of this Dag that came before is at work on `corpus`.

    However long that takes: Airflow's `execution_timeout` does not count what is spent waiting.
    """

    template_fields: Sequence[str] = ("corpus",)

    def __init__(self, *, corpus: str, poll_s: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"pre_execute": None})
        self.corpus = corpus
        self.poll_s = poll_s

    def execute(self, context: Context) -> None:
        """Stand in line, and wait for those ahead."""
        self._take(context)

    def proceed(self, context: Context, event: dict[str, Any]) -> None:
        """Those who were ahead run no more; look again."""
        self._take(context)

    def _take(self, context: Context) -> None:
        dag_id, run_id = context["ti"].dag_id, context["ti"].run_id
        with opened(load_settings().catalog_url) as database:
            with database.write() as connection:
                ahead = line_up(connection, self.corpus, run_id)
            ended = [other for other in ahead if not count_running(dag_id, [other])]
            with database.write() as connection:
                leave_line(connection, ended)
                ahead = line_up(connection, self.corpus, run_id)
        if ahead:
            self.log.info("Corpus %s is in the hands of run %s, and %d are ahead", self.corpus, ahead[0], len(ahead))
            trigger = CorpusTurnTrigger(dag_id=dag_id, run_id=run_id, poll_s=self.poll_s)
            raise TaskDeferred(trigger=trigger, method_name="proceed")


class CorpusTurnTrigger(BaseTrigger):
    """Fires once, when no run that stands ahead of `run_id` runs any more.

    The line is read at each look: a run that was ahead, has ended and was cleared since runs again, but stands behind.
    To wait for it, while it waits for this one, would end for neither.
    """

    def __init__(self, *, dag_id: str, run_id: str, poll_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dag_id = dag_id
        self.run_id = run_id
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "corpus_turn.CorpusTurnTrigger", {name: getattr(self, name) for name in ("dag_id", "run_id", "poll_s")}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while await sync_to_async(self._waits)():  # noqa: ASYNC110 in two databases
            await asyncio.sleep(self.poll_s)
        yield TriggerEvent({"run_id": self.run_id})  # type: ignore[no-untyped-call]

    def _waits(self) -> bool:
        """Whether one of those ahead runs. A wait may last for days: an outage meanwhile must not end it."""
        try:
            with opened(load_settings().catalog_url) as database, database.read() as connection:
                ahead = runs_ahead(connection, self.run_id) or []  # who stands in no line has to stand there again
            return bool(ahead) and count_running(self.dag_id, ahead) > 0
        except (Unavailable, AirflowRuntimeError) as error:
            self.log.warning("%s Looking again in %.1f s.", error, self.poll_s)
            return True


def count_running(dag_id: str, run_ids: list[str]) -> int:
    """How many of the runs are at work. One that is queued, as a cleared one is at first, has nothing under way."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415 slow

    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=run_ids, states=["running"])


def demand_turn(context: Context) -> None:
    """A `pre_execute` hook: fails the task for good unless its run has the turn."""
    run_id = context["ti"].run_id
    with opened(load_settings().catalog_url) as database, database.read() as connection:
        if not has_turn(connection, run_id):
            raise AirflowFailException(
                f"another run has come to index the corpus since run {run_id!r} ended; "
                "clear the whole run, `take_turn` included, so that it waits for its turn"
            )


IN_TURNS: dict[str, Any] = {"max_active_runs": 100, "pre_execute": demand_turn}
"""What `quarry_dag` is told of a Dag whose runs take turns. Runs that only wait count as active, so there are many."""
