"""Every day, hold what changed in each corpus against what its live version was promoted with.

Five statistics and one verdict: `none`, `watch`, `drift`, `model_changed` or `insufficient_data`. The report, with the
trend and the documents furthest from everything known, goes to MLflow (experiment `quarry-drift`); the task's log has
its address.

- `drift` raises, as long as it lasts, the asset `quarry://drift` for its corpus, and `reindex_corpus` builds a version
  on what that corpus holds now; the remedy that the numbers speak for is stated in the log and the report.
- `model_changed` fails the task and is told at once: the model is another one than it was, and nothing else counts.

By hand it judges the last 24 hours, of one corpus if it is named; `airflow backfill create --dag-id detect_drift ...`
judges days again.
"""

import json
from datetime import datetime
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quarry_dag import DRIFT, NAME, quarry_dag, run_to_the_end
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

BY_CALENDAR = "dag_run.run_type in ('scheduled', 'backfill')"
UNTIL = f"{{{{ (data_interval_end if {BY_CALENDAR} else dag_run.run_after).isoformat() }}}}"
SINCE = (
    f"{{{{ (data_interval_start if {BY_CALENDAR} else dag_run.run_after - macros.timedelta(days=1)).isoformat() }}}}"
)

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    tags=["drift", "ray"],
    params={"corpus": Param(None, type=["null", "string"], pattern=NAME, description="Corpus; empty means each one")},
) as dag:

    @task
    def choose_corpora(corpus: str) -> list[str]:
        """The corpus that is asked for, or each that an index version answers for."""
        from include.quarry.drift.watching import watched_corpora  # noqa: PLC0415 heavy

        return [corpus] if corpus else watched_corpora(load_settings())

    @task
    def report(corpus: str, until: str) -> dict[str, Any]:
        """Write the report and keep it in MLflow; gives the verdict."""
        from include.quarry.drift.watching import verdict_of  # noqa: PLC0415 heavy

        verdict = verdict_of(corpus, datetime.fromisoformat(until), load_settings())
        print(json.dumps(verdict, indent=1))
        if verdict["judged"]:
            run_to_the_end("evaluation", "drift", "--corpus", corpus, "--until", until)
        return verdict

    @task(outlets=[DRIFT])
    def act(verdict: dict[str, Any], outlet_events: Any = None) -> None:
        """Ask for a new version while there is drift; say it loudly where the model itself has changed."""
        if verdict["outcome"] == "model_changed":
            raise AirflowFailException(f"the embedding model is not the one it was: {verdict['remedy']['reason']}")
        if verdict["outcome"] != "drift":
            raise AirflowSkipException(f"the verdict is {verdict['outcome']}")
        outlet_events[DRIFT].add_partitions(verdict["corpus"])

    @task_group
    def watch(corpus: str) -> None:
        """What is done for each corpus, whatever becomes of the others."""
        job = ["python", "-m", "ray_apps.jobs.detect_drift", "--corpus", corpus, "--from", SINCE, "--to", UNTIL]
        reported = report(corpus, UNTIL)
        RayJobOperator(task_id="detect", entrypoint=job) >> reported >> act(reported)  # type: ignore[arg-type]

    watch.expand(corpus=choose_corpora("{{ params.corpus or '' }}"))
