"""Build a new index version of a corpus, prove that it is complete and no worse, and let it in by degrees.

    take a turn -> decide -> embed what is missing -> build -> check completeness -> hold -> gate -> shadow
           -> approve, where asked for -> canary of 5, 25, 50 % -> promote -> remember the content, to tell drift by

- **By hand**: `spec` is `live`, the name of an index spec, or JSON; `suite`, what the gate judges by, is a name, a
  folder, `auto` (the corpus's, `QUARRY_GATE_SUITE`) or empty for none; `approval` lets a person decide in this UI.
- **By itself**: after drift (`quarry://drift`), and for a first version after an embedding run (`quarry://lake`). Each
  corpus has a run of its own: it is the event's partition key, and then the run's, and goes before the parameter.

Runs of one corpus take turns; no other waits for them, however long a person thinks. A version that fails is taken
off and marked `failed`; the live one goes on answering. The one before follows the log until its retention ends, so
that `python -m include.quarry versions rollback` is quick. A task that is tried again works on its run's version.
"""

from typing import Any, Literal

from airflow.sdk import Param, PartitionedAssetTimetable, chain, task
from approval import VersionApproval
from corpus_turn import IN_TURNS, CorpusTurn
from quarry_dag import DRIFT, LAKE, final, job, name_param, quarry_dag, run_to_the_end, spec_param, suite_param
from ray_job_operator import RayJobOperator

from include.quarry.settings import load_settings

CORPUS = "{{ partition_key or params.corpus }}"
OPTIONS = ["--corpus", CORPUS, "--spec", "{{ params.spec }}"]
VERSION = f"{CORPUS}-{{{{ run_id | digest }}}}"
SHADOW_SHARE, CANARY_PERCENT = 0.5, (5, 25, 50)

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=PartitionedAssetTimetable(assets=LAKE | DRIFT),
    tags=["index", "ray"],
    **IN_TURNS,
    params={
        "corpus": name_param("main", "Corpus to index"),
        "spec": spec_param(),
        "suite": suite_param("Suite of the gate; `auto` is the corpus's, empty is none", ""),
        "approval": Param(False, type="boolean", description="Wait for a person's word before the promotion"),
    },
) as dag:

    @task.short_circuit
    def decide(corpus: str, triggering_asset_events: Any = None) -> bool:
        """Whoever asks by hand gets a version, and so does drift; new vectors bring only the first one."""
        from include.quarry.routing.promotion import unanswered_corpora  # noqa: PLC0415 heavy

        asked_by = {asset.uri for asset in triggering_asset_events or ()}
        return not asked_by or DRIFT.uri in asked_by or corpus in unanswered_corpora(load_settings())

    embed_missing = RayJobOperator(task_id="embed_missing", entrypoint=job("embed_corpus", *OPTIONS))
    build_index = RayJobOperator(
        task_id="build_index", entrypoint=job("build_index", *OPTIONS, "--version-id", VERSION)
    )

    @task
    def check_completeness(version_id: str) -> dict[str, Any]:
        """Raise `IncompleteIndex` unless the version holds what the log says, later deletes included."""
        from include.quarry.routing.completeness import check_completeness as check  # noqa: PLC0415 heavy

        return check(version_id, load_settings())

    @task
    def hold(version_id: str) -> bool:
        """Let every replica load the version and follow the log; false when nothing is live to compare with."""
        from include.quarry.routing.rollout import hold_version  # noqa: PLC0415 heavy

        return hold_version(version_id, load_settings())

    @task
    def gate(version_id: str, corpus: str, suite: str, beside_live: bool) -> None:
        """Judge the version against the live one; what the gate does not pass, doubts included, ends here."""
        if beside_live and (suite := load_settings().suite_of_gate(corpus) if suite == "auto" else suite):
            run_to_the_end("evaluation", "gate", "--suite", suite, "--candidate", version_id)

    @task
    def try_out(version_id: str, role: Literal["shadow", "canary"], share: float) -> dict[str, Any]:
        """Give the version its share of the queries, and refuse it if it fails on them."""
        from include.quarry.routing.rollout import try_version  # noqa: PLC0415 heavy

        with final():
            return try_version(version_id, role, share, load_settings())

    @task
    def promote(version_id: str) -> dict[str, Any]:
        """Let the version answer: one row of the catalog changes."""
        from include.quarry.routing.promotion import promote_candidate  # noqa: PLC0415 heavy

        with final():
            return promote_candidate(version_id, load_settings())

    @task(trigger_rule="one_failed", pre_execute=None)
    def take_off(version_id: str) -> bool:
        """Whatever has failed, the version does not stay on its way; one that is live already stays live."""
        from include.quarry.routing.promotion import abandon  # noqa: PLC0415 heavy

        return abandon(version_id, "its reindex_corpus run failed", load_settings())

    remember = RayJobOperator(task_id="remember", entrypoint=job("detect_drift", "--remember", "1", "--corpus", CORPUS))

    way = [
        CorpusTurn(task_id="take_turn", corpus=CORPUS),
        decide(CORPUS),
        embed_missing,
        build_index,
        check_completeness(VERSION),
        (held := hold(VERSION)),
        gate(VERSION, CORPUS, "{{ params.suite }}", held),  # type: ignore[arg-type]
        try_out.override(task_id="shadow")(VERSION, "shadow", SHADOW_SHARE),
        VersionApproval(task_id="approve", version_id=VERSION, subject=f"Let {VERSION} answer?"),
        *(try_out.override(task_id=f"canary_{share}")(VERSION, "canary", share / 100) for share in CANARY_PERCENT),
        promote(VERSION),
        remember,
    ]
    chain(*way)
    way[:-1] >> take_off(VERSION)
