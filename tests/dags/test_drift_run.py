"""`detect_drift` from end to end: every corpus is judged, and each that drifted gets a version of its own."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.dags.fake_ray import FakeJob, FakeRay


@dataclass
class Watching:
    """Stands for the module that knows the verdicts, by corpus."""

    outcomes: dict[str, str] = field(default_factory=dict)
    queries: str = "none"

    def watched_corpora(self, settings: Any) -> list[str]:
        return sorted(self.outcomes)

    def verdict_of(self, corpus: str, until: datetime, settings: Any) -> dict[str, Any]:
        remedy = {"action": "", "reason": "pin it"}
        queries = {"judged": False, "outcome": self.queries, "remedy": {"action": "renew_suite", "reason": "renew it"}}
        outcome = self.outcomes[corpus]
        return {"corpus": corpus, "judged": False, "outcome": outcome, "remedy": remedy, "queries": queries}


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    fake = Watching()
    stand_in = ModuleType("include.quarry.drift.watching")
    vars(stand_in).update(watched_corpora=fake.watched_corpora, verdict_of=fake.verdict_of)
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return fake


@pytest.fixture
def registered(airflow_database, dag_bag) -> Iterator[None]:
    """Airflow knows the Dags, and that they are not paused; what was queued is forgotten afterwards."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(dag_bag, "dags-folder", None)
    yield
    queued_reindex_runs()


@pytest.fixture
def run_detection(registered, dag_bag, settings_of_fakes, monkeypatch) -> Callable[..., SimpleNamespace]:
    dag = dag_bag.dags["detect_drift"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 0)  # the bag is shared with other tests

    def run(**conf: str) -> SimpleNamespace:
        run = dag.test(run_conf={"corpus": None} | conf)  # what a conf says stays in the Dag
        states = {(ti.task_id, ti.map_index): str(ti.state) for ti in run.get_task_instances()}
        return SimpleNamespace(state=str(run.state), tasks=states)

    return run


def queued_reindex_runs() -> list[str]:
    """What the scheduler makes of the events so far: the partition keys of the runs that it queues."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        before = set(session.scalars(sa.select(DagRun.id)))
        SchedulerJobRunner(job=Job())._create_dagruns_for_partitioned_asset_dags(session)
        session.flush()
        runs = session.scalars(sa.select(DagRun).where(DagRun.id.not_in(before)))
        return sorted(f"{run.dag_id} {run.partition_key}" for run in runs)


def test_each_corpus_is_judged_and_each_drift_brings_a_version_of_that_corpus(
    run_detection, watching: Watching, fake_ray: FakeRay
) -> None:
    watching.outcomes = {"docs": "drift", "main": "none", "wiki": "drift"}
    run = run_detection()
    assert sorted(job.entrypoint.partition(" --from ")[0] for job in fake_ray.jobs.values()) == [
        f"python -m ray_apps.jobs.detect_drift --corpus {corpus}" for corpus in ("docs", "main", "wiki")
    ]
    assert [run.tasks["watch.act", number] for number in range(3)] == ["success", "skipped", "success"]
    assert queued_reindex_runs() == ["reindex_corpus docs", "reindex_corpus wiki"]


def test_drift_of_queries_is_told_and_builds_nothing(run_detection, watching: Watching, fake_ray: FakeRay) -> None:
    watching.outcomes, watching.queries = {"main": "none"}, "drift"
    run = run_detection()
    assert (run.tasks["watch.advise", 0], run.tasks["watch.act", 0]) == ("success", "skipped")
    assert queued_reindex_runs() == []
    watching.queries = "watch"
    assert run_detection().tasks["watch.advise", 0] == "skipped"


def test_one_corpus_can_be_asked_for(run_detection, watching: Watching, fake_ray: FakeRay) -> None:
    watching.outcomes = {"docs": "drift", "main": "drift"}
    run_detection(corpus="docs")
    assert len(fake_ray.jobs) == 1
    assert queued_reindex_runs() == ["reindex_corpus docs"]


def test_a_corpus_that_cannot_be_judged_does_not_keep_another_from_its_version(
    run_detection, watching: Watching, fake_ray: FakeRay
) -> None:
    def fail_for_docs(job: FakeJob) -> None:
        job.status = "FAILED" if "docs" in job.entrypoint else "SUCCEEDED"

    fake_ray.on_submit = fail_for_docs
    watching.outcomes = {"docs": "drift", "main": "drift", "wiki": "model_changed"}
    run = run_detection()
    assert run.state == "failed"
    assert [run.tasks["watch.act", number] for number in range(3)] == ["upstream_failed", "success", "failed"]
    assert queued_reindex_runs() == ["reindex_corpus main"]


def test_without_a_live_version_there_is_nothing_to_watch(run_detection, watching: Watching, fake_ray: FakeRay) -> None:
    assert run_detection().state == "success"
    assert fake_ray.jobs == {}
    assert queued_reindex_runs() == []
