r"""Bring documents up to the embedding spec that is live.

- After an ingestion (asset `quarry://catalog`): everything of every corpus that still lacks a vector. By hand:
  everything of one corpus.
- Every night, and for each day of a backfill: the documents changed on that day, `[00:00, 24:00)` UTC.

        python -m include.quarry airflow backfill create --dag-id backfill_embeddings \
            --from-date 2026-11-01 --to-date 2026-11-20

  A day that has had its run is left alone; after a change of the embedding spec add `--reprocess-behavior completed`.

A text is embedded once per spec, whoever asks for it and how often: running this twice changes nothing, and a run
that lost its workers goes on where it stopped. It may run on spot nodes, which vanish (parameter `nodes`); the job's
log ends with what was embedded, what was lost on the way and what the nodes cost. Then the asset `quarry://lake` names
each corpus that no index version answers for yet, and `reindex_corpus` builds its first.
"""

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from quarry_dag import CATALOG, LAKE, name_param, quarry_dag
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

OF_THE_DAY = (
    "{% if dag_run.run_type in ('scheduled', 'backfill') %}"
    " --from {{ data_interval_start.isoformat() }} --to {{ data_interval_end.isoformat() }}"
    "{% endif %}"
)
CORPUS = "{{ ('*' if dag_run.run_type == 'asset_triggered' else params.corpus) | quote }}"
NODES = "{% if params.get('nodes') in ('spot', 'on-demand') %} --nodes {{ params.nodes | quote }}{% endif %}"

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=AssetOrTimeSchedule(assets=[CATALOG], timetable=CronDataIntervalTimetable("0 0 * * *", timezone="UTC")),
    tags=["embedding", "ray"],
    params={
        "corpus": name_param("main", "Corpus whose documents are embedded"),
        "nodes": Param("as set up", enum=["as set up", "spot", "on-demand"], description="Nodes that embed"),
    },
) as dag:
    embed_changes = RayJobOperator(
        task_id="embed_changes",
        entrypoint=f"python -m ray_apps.jobs.embed_corpus --corpus {CORPUS}{OF_THE_DAY}{NODES}",
    )

    @task(outlets=[LAKE])
    def announce_corpora(outlet_events: Any = None) -> None:
        """Raise an asset event for each corpus that waits for its first index version."""
        from include.quarry.routing.promotion import unanswered_corpora  # noqa: PLC0415 heavy

        if not (corpora := unanswered_corpora(load_settings())):
            raise AirflowSkipException("every corpus has a version that answers for it")
        outlet_events[LAKE].add_partitions(corpora)

    embed_changes >> announce_corpora()
