"""Bring documents up to the embedding spec that is live.

- After an ingestion (asset `quarry://catalog/main`): everything of every corpus that still lacks a vector. By hand:
  everything of one corpus.
- Every night, and for each day of a backfill: the documents changed on that day, `[00:00, 24:00)` UTC.

        airflow backfill create --dag-id backfill_embeddings --from-date 2026-11-01 --to-date 2026-11-20

  A day that has had its run is left alone; after a change of the embedding spec add `--reprocess-behavior completed`.

A text is embedded once per spec, whoever asks for it and how often: running this twice changes nothing, and a run
that lost its workers goes on where it stopped. It may run on spot nodes, which vanish (parameter `nodes`); the job's
log ends with what was embedded, what was lost on the way and what the nodes cost. When it is done, the asset
`quarry://lake/main` says so.
"""

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, Param
from quarry_dag import CATALOG, LAKE, name_param, quarry_dag
from ray_job_operator import RayJobOperator

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
    RayJobOperator(
        task_id="embed_changes",
        entrypoint=f"python -m ray_apps.jobs.embed_corpus --corpus {CORPUS}{OF_THE_DAY}{NODES}",
        outlets=[LAKE],
    )
