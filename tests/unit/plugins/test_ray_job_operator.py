import shlex
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout, TaskDeferred
from ray_job_operator import RayJobOperator, name_job
from ray_job_trigger import LATE, LOST, RayJobTrigger

from tests.dags.fake_ray import FakeJob, FakeRay


def make_operator(ray: FakeRay, entrypoint: str | list[str] = "python work.py", **options: Any) -> RayJobOperator:
    return RayJobOperator(task_id="embed", entrypoint=entrypoint, address=ray.address, **options)


def context_of(*, run_id: str = "manual__1", map_index: int = -1, max_tries: int = 2) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="backfill", run_id=run_id, task_id="embed", map_index=map_index, max_tries=max_tries)
    return {"ti": ti}


def run_until_deferred(operator: RayJobOperator, context: dict[str, Any]) -> RayJobTrigger:
    with pytest.raises(TaskDeferred) as deferred:
        RayJobOperator.execute.__wrapped__(operator, context)  # type: ignore[attr-defined]
    assert deferred.value.method_name == "conclude"
    assert isinstance(deferred.value.trigger, RayJobTrigger)
    return deferred.value.trigger


def stay_pending(job: FakeJob) -> None:
    job.status = "PENDING"


@pytest.fixture(autouse=True)
def jobs_do_not_end_by_themselves(fake_ray: FakeRay) -> None:
    fake_ray.on_submit = stay_pending


def test_the_first_try_submits_and_waits_without_a_worker(fake_ray: FakeRay) -> None:
    trigger = run_until_deferred(make_operator(fake_ray, num_cpus=0.5), context_of())
    (job,) = fake_ray.jobs.values()
    assert job.submission_id == trigger.submission_id
    assert job.entrypoint == "python work.py"
    assert job.request["entrypoint_num_cpus"] == 0.5
    assert job.request["metadata"]["run_id"] == "manual__1"


def test_the_words_of_a_list_reach_the_job_as_they_are(fake_ray: FakeRay) -> None:
    words = ["python", "-m", "work", "--spec", '{"kind": "it\'s"}; echo $HOME `id`', "--corpus", ""]
    run_until_deferred(make_operator(fake_ray, words), context_of())
    (job,) = fake_ray.jobs.values()
    assert shlex.split(job.entrypoint) == words


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_a_retry_follows_the_job_that_is_still_going(fake_ray: FakeRay, status: str) -> None:
    first = run_until_deferred(make_operator(fake_ray), context_of())
    fake_ray.jobs[first.submission_id].status = status
    second = run_until_deferred(make_operator(fake_ray), context_of())
    assert second.submission_id == first.submission_id
    assert fake_ray.seen.count("SUBMIT") == 1


@pytest.mark.parametrize("status", ["FAILED", "STOPPED"])
def test_a_retry_after_a_failure_starts_the_next_attempt(fake_ray: FakeRay, status: str) -> None:
    first = run_until_deferred(make_operator(fake_ray), context_of())
    fake_ray.jobs[first.submission_id].status = status
    second = run_until_deferred(make_operator(fake_ray), context_of())
    assert first.submission_id.endswith(".1")
    assert second.submission_id == first.submission_id.removesuffix("1") + "2"


def test_a_retry_whose_job_has_succeeded_meanwhile_is_done(fake_ray: FakeRay) -> None:
    first = run_until_deferred(make_operator(fake_ray), context_of())
    fake_ray.jobs[first.submission_id].status = "SUCCEEDED"
    again = RayJobOperator.execute.__wrapped__(make_operator(fake_ray), context_of())  # type: ignore[attr-defined]
    assert again == first.submission_id
    assert fake_ray.seen.count("SUBMIT") == 1


def test_a_cleared_task_runs_again(fake_ray: FakeRay) -> None:
    """Airflow raises `max_tries` when a task is cleared, and leaves it alone when one is tried again."""
    first = run_until_deferred(make_operator(fake_ray), context_of(max_tries=2))
    fake_ray.jobs[first.submission_id].status = "SUCCEEDED"
    cleared = run_until_deferred(make_operator(fake_ray), context_of(max_tries=3))
    assert cleared.submission_id != first.submission_id
    assert len(fake_ray.jobs) == 2


def test_other_runs_and_other_map_indexes_have_jobs_of_their_own(fake_ray: FakeRay) -> None:
    contexts = [context_of(), context_of(run_id="manual__2"), context_of(map_index=0), context_of(map_index=1)]
    assert len({run_until_deferred(make_operator(fake_ray), context).submission_id for context in contexts}) == 4


def test_success_returns_the_submission_id(fake_ray: FakeRay) -> None:
    event = {"submission_id": "a.1", "status": "SUCCEEDED", "message": "", "tail": ""}
    assert make_operator(fake_ray).conclude({}, event) == "a.1"


@pytest.mark.parametrize(
    ("status", "error"), [("FAILED", AirflowException), (LOST, AirflowException), (LATE, AirflowTaskTimeout)]
)
def test_a_failure_shows_the_end_of_the_log(fake_ray: FakeRay, status: str, error: type[BaseException]) -> None:
    event = {"submission_id": "a.1", "status": status, "message": "exit code 1", "tail": "KeyError: 'x'"}
    with pytest.raises(error, match=rf"(?s)a\.1 is {status}: exit code 1.*KeyError: 'x'"):
        make_operator(fake_ray).conclude({}, event)


def test_a_job_that_never_started_says_all_that_ray_says(fake_ray: FakeRay) -> None:
    event = {"submission_id": "a.1", "status": "FAILED", "message": "no supervisor\nbad runtime_env", "tail": ""}
    with pytest.raises(AirflowException, match=r"(?s)no supervisor.*bad runtime_env"):
        make_operator(fake_ray).conclude({}, event)


def test_the_time_limit_counts_the_waiting_too(fake_ray: FakeRay) -> None:
    limited = make_operator(fake_ray, execution_timeout=timedelta(hours=1))
    assert run_until_deferred(limited, context_of()).deadline is not None
    assert run_until_deferred(make_operator(fake_ray), context_of(run_id="other")).deadline is None


def test_killing_the_task_stops_its_job(fake_ray: FakeRay) -> None:
    operator = make_operator(fake_ray)
    operator.on_kill()
    trigger = run_until_deferred(operator, context_of())
    operator.on_kill()
    assert fake_ray.jobs[trigger.submission_id].status == "STOPPED"


def test_a_job_name_is_a_short_file_name() -> None:
    identity = {"dag_id": "d" * 250, "task_id": "t" * 250, "run_id": "r" * 250}
    name = name_job(identity)
    assert len(f"job-driver-{name}.10.log") < 255
    assert "/" not in name
    assert name == name_job(identity) != name_job({**identity, "run_id": "s"})


def test_the_operator_counts_against_the_pool_of_ray_jobs(fake_ray: FakeRay) -> None:
    assert make_operator(fake_ray).pool == "ray_jobs"
