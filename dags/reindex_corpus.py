"""Build a new index version of a corpus, prove that it is complete and no worse, and let it in by degrees.

    decide -> embed what is missing -> build -> check completeness -> hold -> gate -> shadow -> canary of 5, 25, 50 %
           -> approve, where asked for -> promote -> remember the content, to tell drift by

- **By hand**: `spec` is `live`, the name of an index spec, or JSON; `suite` is what the gate judges by, and empty means
  that there is none; `approval` lets a person decide in this UI before the promotion.
- **By itself**: after an embedding run (asset `quarry://lake/main`) only if the corpus has no version yet; after
  `quarry://drift/main` always.

A version that fails anywhere leaves its route and is marked `failed` with the reason; the live version goes on
answering. The version that was live before follows the log until its retention ends, so that
`python -m include.quarry.versions rollback` takes a promotion back within a second. The version's id follows from the
run: a task that is tried again works on the same version.
"""

from typing import Any, Literal

from airflow.sdk import Param, chain, task
from approval import VersionApproval
from quarry_dag import DRIFT, LAKE, final, name_param, quarry_dag, run_to_the_end, spec_param
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

CORPUS = "{{ params.corpus | quote }}"
OPTIONS = f"--corpus {CORPUS} --spec {{{{ params.spec | quote }}}}"
ASKED_BY = "{{ 'asset' if dag_run.run_type == 'asset_triggered' else 'hand' }}"  # the type itself renders as an enum
VERSION = "{{ params.corpus }}-{{ run_id | digest }}"
SHADOW_SHARE, CANARY_PERCENT = 0.5, (5, 25, 50)

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=(LAKE | DRIFT),
    tags=["index", "ray"],
    params={
        "corpus": name_param("main", "Corpus to index"),
        "spec": spec_param(),
        "suite": Param(load_settings().suite_of_gate, type="string", description="Suite of the gate; empty means none"),
        "approval": Param(False, type="boolean", description="Wait for a person's word before the promotion"),
    },
) as dag:

    @task.short_circuit
    def decide(corpus: str, asked_by: str, triggering_asset_events: Any = None) -> bool:
        """Whoever asks by hand gets a version, and so does drift; new vectors bring only the first one."""
        from include.quarry.routing.promotion import needs_reindex  # noqa: PLC0415 heavy

        drifted = any(asset.uri == DRIFT.uri for asset in triggering_asset_events or ())
        return asked_by != "asset" or drifted or needs_reindex(corpus, load_settings())

    embed_missing = RayJobOperator(
        task_id="embed_missing", entrypoint=f"python -m ray_apps.jobs.embed_corpus {OPTIONS}"
    )

    build_index = RayJobOperator(
        task_id="build_index", entrypoint=f"python -m ray_apps.jobs.build_index {OPTIONS} --version-id {VERSION}"
    )

    @task
    def check_completeness(version_id: str) -> dict[str, Any]:
        """Raise `IncompleteIndex` unless the version holds what the log says, deletes made meanwhile included."""
        from include.quarry.routing.completeness import check_completeness as check  # noqa: PLC0415 heavy

        return check(version_id, load_settings())

    @task
    def hold(version_id: str) -> bool:
        """Let every replica load the version and follow the log with it; false when nothing is live to compare with."""
        from include.quarry.routing.rollout import hold_version  # noqa: PLC0415 heavy

        return hold_version(version_id, load_settings())

    @task(retries=0)
    def gate(version_id: str, suite: str, beside_live: bool) -> None:
        """Judge the version against the live one; whatever the gate does not pass, doubts included, is refused."""
        from include.quarry.routing.promotion import refuse  # noqa: PLC0415 heavy

        if beside_live and suite:
            settings = load_settings()
            options = ["gate", "--suite", suite, "--candidate", version_id, "--url", settings.http_url]
            with final(on_failure=lambda reason: refuse(version_id, reason, settings)):
                run_to_the_end("evaluation", *options)

    @task
    def try_out(version_id: str, role: Literal["shadow", "canary"], share: float) -> dict[str, Any]:
        """Give the version its share of the queries, and refuse it if it fails on them."""
        from include.quarry.routing.rollout import try_version  # noqa: PLC0415 heavy

        with final():
            return try_version(version_id, role, share, load_settings())

    @task
    def promote(version_id: str) -> dict[str, Any]:
        """Let the version answer: one row of the catalog changes."""
        from include.quarry.routing.promotion import promote as make_live  # noqa: PLC0415 heavy

        return make_live(version_id, load_settings())

    remember = RayJobOperator(
        task_id="remember", entrypoint=f"python -m ray_apps.jobs.detect_drift --remember 1 --corpus {CORPUS}"
    )

    held = hold(VERSION)
    chain(
        decide("{{ params.corpus }}", ASKED_BY),
        embed_missing,
        build_index,
        check_completeness(VERSION),
        held,
        gate(VERSION, "{{ params.suite }}", held),  # type: ignore[arg-type]
        try_out.override(task_id="shadow")(VERSION, "shadow", SHADOW_SHARE),
        *(try_out.override(task_id=f"canary_{share}")(VERSION, "canary", share / 100) for share in CANARY_PERCENT),
        VersionApproval(task_id="approve", version_id=VERSION, subject=f"Let {VERSION} answer?"),
        promote(VERSION),
        remember,
    )
