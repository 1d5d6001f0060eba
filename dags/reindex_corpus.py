"""Build a new index version of a corpus, check it, and only then let it answer.

    embed what is missing -> build -> check completeness -> promote

By hand: `spec` is the name of an index spec or its JSON. By itself, after an embedding run (asset
`quarry://lake/main`), only when the corpus needs a version, as it does before its first one.

The version's id follows from the run, so a task that is tried again works on the same version. A version that does
not hold exactly what the log says fails the check, and the live version keeps answering.
"""

from hashlib import sha256
from typing import Any

from airflow.sdk import task
from quarry_dag import LAKE, name_param, quarry_dag, spec_param
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

OPTIONS = "--corpus {{ params.corpus | quote }} --spec {{ params.spec | quote }}"
ASKED_BY = "{{ 'asset' if dag_run.run_type == 'asset_triggered' else 'hand' }}"  # the type itself renders as an enum
VERSION = "{{ params.corpus }}-{{ run_id | digest }}"


def digest(run_id: str) -> str:
    """Twelve hex digits that stand for a run."""
    return sha256(run_id.encode()).hexdigest()[:12]


with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=[LAKE],
    tags=["index", "ray"],
    params={
        "corpus": name_param("main", "Corpus to index"),
        "spec": spec_param(),
    },
    filters={"digest": digest},
) as dag:

    @task.short_circuit
    def decide(corpus: str, asked_by: str) -> bool:
        """Whoever asks by hand gets a version; an asset event gets one only if the corpus needs it."""
        from include.quarry.routing.promotion import needs_reindex  # noqa: PLC0415 heavy

        return asked_by != "asset" or needs_reindex(corpus, load_settings())

    embed_missing = RayJobOperator(
        task_id="embed_missing",
        entrypoint=f"python -m ray_apps.jobs.embed_corpus {OPTIONS}",
    )

    build_index = RayJobOperator(
        task_id="build_index",
        entrypoint=f"python -m ray_apps.jobs.build_index {OPTIONS} --version-id {VERSION}",
    )

    @task
    def check_completeness(version_id: str) -> dict[str, Any]:
        """Raise `IncompleteIndex` unless the version holds what the log says, deletes made meanwhile included."""
        from include.quarry.routing.completeness import check_completeness as check  # noqa: PLC0415 heavy

        return check(version_id, load_settings())

    @task
    def promote(version_id: str) -> dict[str, Any]:
        """Let the version answer: one row of the catalog changes."""
        from include.quarry.routing.promotion import promote as make_live  # noqa: PLC0415 heavy

        return make_live(version_id, load_settings())

    (
        decide("{{ params.corpus }}", ASKED_BY)
        >> embed_missing
        >> build_index
        >> check_completeness(VERSION)
        >> promote(VERSION)
    )
