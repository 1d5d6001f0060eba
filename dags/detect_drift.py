"""Every day, hold what changed in each corpus, and what was asked of it, against the days when its version went live.

Documents are compared with those that the live version was promoted with, queries with the first ones after that. Five
statistics each and one verdict: `none`, `watch`, `drift`, `model_changed` or `insufficient_data`. The reports, with the
trend and what lies furthest from everything known, go to MLflow (experiment `quarry-drift`); the log has the addresses.

- `drift` of documents raises, as long as it lasts, the asset `quarry://drift` for its corpus, and `reindex_corpus`
  builds a version on what that corpus holds now; the remedy that the numbers speak for is stated in log and report.
- `drift` of queries builds nothing: task `advise` says that the judged suite has got old, and is skipped otherwise.
- `model_changed` fails the task and is told at once: the model is another one than it was, and nothing else counts.

Documents that had no vectors yet are judged with their own day as soon as they have, up to a week later.

By hand it judges the last 24 hours, of one corpus if it is named; `python -m include.quarry airflow backfill create
--dag-id detect_drift ...` judges days again.
"""

import json
from datetime import datetime
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quarry_dag import DRIFT, NAME, job, quarry_dag, run_to_the_end, span
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

SINCE, UNTIL = span(days=1)

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
        if verdict["judged"] or verdict["queries"]["judged"]:
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

    @task
    def advise(verdict: dict[str, Any]) -> str:
        """Say what a drift of queries asks people to do."""
        queries = verdict["queries"]
        if queries["outcome"] != "drift":
            raise AirflowSkipException(f"the verdict about queries is {queries['outcome']}")
        print(f"corpus {verdict['corpus']}: {queries['remedy']['reason']}")
        action: str = queries["remedy"]["action"]
        return action

    @task_group
    def watch(corpus: str) -> None:
        """What is done for each corpus, whatever becomes of the others."""
        command = job("detect_drift", "--corpus", corpus, "--from", SINCE, "--to", UNTIL)
        reported = report(corpus, UNTIL)
        RayJobOperator(task_id="detect", entrypoint=command) >> reported >> [act(reported), advise(reported)]  # type: ignore[arg-type]

    watch.expand(corpus=choose_corpora("{{ params.corpus or '' }}"))
