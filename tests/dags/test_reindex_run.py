"""`reindex_corpus` from end to end, against a Ray job server on a real socket."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import corpus_turn
import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException

from include.quarry.catalog.database import migrate, opened
from include.quarry.catalog.turns import line_up
from include.quarry.errors import IncompleteIndex, Refused
from include.quarry.settings import load_settings
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
    dag.get_task("take_turn").poll_s = 0.01
    migrate(load_settings().catalog_url)

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


@dataclass
class AtWork:
    """A run that Airflow has under way, and that has the turn of its corpus: say, it waits for a person's word."""

    run_id: str

    def __post_init__(self) -> None:
        self._in_airflow("running")
        with opened(load_settings().catalog_url) as database, database.write() as connection:
            assert line_up(connection, "docs", self.run_id) == []

    def end(self) -> None:
        self._in_airflow("success")

    def _in_airflow(self, state: str) -> None:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            run = session.scalar(sa.select(DagRun).where(DagRun.run_id == self.run_id))
            run = run or DagRun(dag_id="reindex_corpus", run_id=self.run_id, run_type="manual")
            run.state = state
            session.add(run)


@pytest.fixture
def at_work(run_reindex) -> Iterator[AtWork]:
    run = AtWork(f"manual__{uuid4()}")
    yield run
    run.end()


def test_a_corpus_is_promoted_while_a_run_of_another_waits_for_a_word(
    run_reindex, routing: Routing, at_work: AtWork
) -> None:
    run = run_reindex(corpus="wiki")
    assert run.state == "success", run.tasks
    (version,) = routing.promoted
    assert version.startswith("wiki-")


def test_two_runs_of_one_corpus_never_work_side_by_side(
    run_reindex, routing: Routing, at_work: AtWork, fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    count = corpus_turn.count_running

    def look(dag_id: str, run_ids: list[str]) -> int:
        running = count(dag_id, run_ids)
        seen.append((running, len(fake_ray.jobs)))
        if len(seen) == 3:
            at_work.end()
        return running

    monkeypatch.setattr(corpus_turn, "count_running", look)
    run = run_reindex(corpus="docs")
    assert run.state == "success", run.tasks
    assert seen == [(1, 0)] * 3 + [(0, 0)] * 2, "nothing is asked of Ray until the run before has ended"
    assert len(routing.promoted) == 1


def test_a_task_that_is_cleared_after_its_run_lost_the_turn_does_nothing(
    run_reindex, routing: Routing, dag_bag, airflow_database
) -> None:
    run = run_reindex(corpus="docs")
    context = {"ti": SimpleNamespace(run_id=run.run_id, dag_id="reindex_corpus")}
    hook = dag_bag.dags["reindex_corpus"].get_task("promote")._pre_execute_hook
    hook(context)
    run_reindex(corpus="docs")
    with pytest.raises(AirflowFailException, match="clear the whole run"):
        hook(context)
