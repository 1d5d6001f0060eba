"""`reindex_corpus` from end to end, against a Ray job server on a real socket."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from include.quarry.errors import IncompleteIndex, Refused
from tests.dags.fake_ray import FakeJob, FakeRay


@dataclass
class Routing:
    """Stands for the modules that know about versions, and remembers what was asked of them."""

    complete: bool = True
    beside_live: bool = True
    poisoned_from: str = ""
    checked: list[str] = field(default_factory=list)
    tried: list[tuple[str, float]] = field(default_factory=list)
    taken_off: list[str] = field(default_factory=list)
    promoted: list[str] = field(default_factory=list)

    def check_completeness(self, version_id: str, settings: Any) -> dict[str, Any]:
        self.checked.append(version_id)
        if not self.complete:
            raise IncompleteIndex(f"index version {version_id!r}: 3 chunks missing")
        return {"version": version_id}

    def hold_version(self, version_id: str, settings: Any) -> bool:
        return self.beside_live

    def abandon(self, version_id: str, reason: str, settings: Any) -> bool:
        self.taken_off.append(version_id)
        return True

    def try_version(self, version_id: str, role: str, share: float, settings: Any) -> dict[str, Any]:
        self.tried.append((role, share))
        if self.poisoned_from == role:
            raise Refused(f"index version {version_id!r} is refused: overlap@10 is 0.00")
        return {"outcome": "pass"}

    def promote_candidate(self, version_id: str, settings: Any) -> dict[str, Any]:
        self.promoted.append(version_id)
        return {"live_version": version_id}

    def unanswered_corpora(self, settings: Any) -> list[str]:
        return []


@pytest.fixture
def routing(monkeypatch: pytest.MonkeyPatch) -> Routing:
    fake = Routing()
    verbs = ("check_completeness", "hold_version", "abandon", "try_version", "promote_candidate", "unanswered_corpora")
    for module in ("completeness", "promotion", "rollout"):
        name = f"include.quarry.routing.{module}"
        stand_in = ModuleType(name)
        vars(stand_in).update({verb: getattr(fake, verb) for verb in verbs})
        monkeypatch.setitem(sys.modules, name, stand_in)
    return fake


@pytest.fixture
def run_reindex(airflow_database, dag_bag, settings_of_fakes) -> Callable[..., SimpleNamespace]:
    """Runs the Dag in this process, each task once; gives the run's state and those of its tasks."""
    dag = dag_bag.dags["reindex_corpus"]
    for task in dag.tasks:
        task.retries = 0

    def run(**conf: str) -> SimpleNamespace:
        run = dag.test(run_conf={"suite": ""} | conf)
        states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
        return SimpleNamespace(state=str(run.state), tasks=states, run_id=run.run_id)

    return run


def test_a_complete_version_is_promoted(run_reindex, routing: Routing, fake_ray: FakeRay) -> None:
    run = run_reindex(corpus="docs")
    assert run.state == "success", run.tasks
    embed, build, remember = fake_ray.jobs.values()
    assert remember.entrypoint == "python -m ray_apps.jobs.detect_drift --remember 1 --corpus docs"
    assert embed.entrypoint == "python -m ray_apps.jobs.embed_corpus --corpus docs --spec live"
    (version,) = routing.promoted
    assert routing.checked == [version]
    assert version.startswith("docs-")
    assert build.entrypoint == (f"python -m ray_apps.jobs.build_index --corpus docs --spec live --version-id {version}")
    assert build.request["metadata"]["run_id"] == run.run_id


def test_an_incomplete_version_is_never_promoted(run_reindex, routing: Routing) -> None:
    routing.complete = False
    run = run_reindex(corpus="docs")
    assert run.state == "failed"
    assert len(routing.checked) == 1
    assert (routing.promoted, routing.taken_off) == ([], routing.checked)
    assert run.tasks["promote"] == "upstream_failed"


def test_a_failed_build_is_neither_checked_nor_promoted(
    run_reindex, routing: Routing, fake_ray: FakeRay, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail_to_build(job: FakeJob) -> None:
        failed = "build_index" in job.entrypoint
        job.status = "FAILED" if failed else "SUCCEEDED"
        job.logs = "reading the lake\nKeyError: 'the lake is dry'\n" if failed else ""

    fake_ray.on_submit = fail_to_build
    run = run_reindex()
    assert run.state == "failed"
    assert run.tasks["build_index"] == "failed"
    assert (routing.checked, routing.promoted) == ([], [])
    shown = "".join(capfd.readouterr())
    assert "KeyError: 'the lake is dry'" in shown, "the end of the job's log belongs into the task's log"


def test_a_version_is_tried_by_degrees_before_it_is_promoted(run_reindex, routing: Routing) -> None:
    run = run_reindex()
    assert run.state == "success", run.tasks
    assert routing.tried == [("shadow", 0.5), ("canary", 0.05), ("canary", 0.25), ("canary", 0.5)]
    assert (len(routing.promoted), routing.taken_off) == (1, [])


@pytest.mark.parametrize(("role", "tried"), [("shadow", 1), ("canary", 2)])
def test_a_candidate_that_is_refused_on_live_queries_is_never_promoted(
    run_reindex, routing: Routing, role: str, tried: int
) -> None:
    routing.poisoned_from = role
    run = run_reindex()
    assert run.state == "failed"
    assert (len(routing.tried), routing.promoted, len(routing.taken_off)) == (tried, [], 1)


def test_what_the_gate_does_not_pass_is_taken_off(run_reindex, routing: Routing) -> None:
    run = run_reindex(suite="/nowhere")
    assert run.state == "failed"
    assert run.tasks["gate"] == "failed"
    assert len(routing.taken_off) == 1
    assert (routing.tried, routing.promoted) == ([], [])


def test_a_corpus_that_no_suite_is_set_for_is_not_judged_by_another_ones(run_reindex, routing: Routing) -> None:
    run = run_reindex(corpus="wiki", suite="auto")
    assert run.state == "success", run.tasks
    assert len(routing.promoted) == 1


def test_the_first_version_of_a_corpus_needs_no_gate(run_reindex, routing: Routing) -> None:
    routing.beside_live = False
    assert run_reindex(suite="/nowhere").state == "success"
    assert len(routing.promoted) == 1
