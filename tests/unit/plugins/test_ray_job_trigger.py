import asyncio
import logging
import time
from typing import Any

import pytest
from ray_job_trigger import LATE, LOST, SILENT, RayJobTrigger

from tests.dags.fake_ray import FakeRay


def make_trigger(ray: FakeRay, **options: Any) -> RayJobTrigger:
    trigger = RayJobTrigger(address=ray.address, submission_id="a.1", poll_s=0.01, **options)
    trigger._log = logging.getLogger("trigger-under-test")
    return trigger


async def fire(trigger: RayJobTrigger) -> dict[str, str]:
    events = [event async for event in trigger.run()]
    assert len(events) == 1
    return events[0].payload


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.INFO]


async def test_it_fires_when_the_job_has_ended_with_the_tail_of_its_log(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "FAILED", logs="".join(f"line {n}\n" for n in range(100)), message="exit code 1")
    event = await fire(make_trigger(fake_ray))
    assert event["submission_id"] == "a.1"
    assert (event["status"], event["message"]) == ("FAILED", "exit code 1")
    assert event["tail"].splitlines() == [f"line {n}" for n in range(60, 100)]


async def test_each_line_of_the_job_is_logged_once_and_whole(
    fake_ray: FakeRay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = fake_ray.add("a.1", "RUNNING", logs="one\ntwo\nthr")
    firing = asyncio.create_task(fire(make_trigger(fake_ray)))
    await asyncio.to_thread(fake_ray.wait_for, "GET /logs", 2)
    assert messages(caplog) == ["one", "two"]
    job.logs += "ee\nfour"
    job.status = "SUCCEEDED"
    await firing
    assert messages(caplog) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("outage", [[503, 500], [0, 0, 0]])
async def test_a_short_outage_is_waited_out(fake_ray: FakeRay, outage: list[int]) -> None:
    fake_ray.add("a.1", "SUCCEEDED")
    fake_ray.answer_next = outage
    assert (await fire(make_trigger(fake_ray)))["status"] == "SUCCEEDED"


async def test_a_long_outage_is_told_and_leaves_the_job_alone(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "RUNNING")
    fake_ray.answer_next = [503] * 1000
    event = await fire(make_trigger(fake_ray, outage_s=0.1))
    assert event["status"] == SILENT
    assert "503" in event["message"]
    assert fake_ray.jobs["a.1"].status == "RUNNING"


async def test_missing_logs_do_not_hide_how_the_job_ended(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "FAILED", message="node died")
    trigger = make_trigger(fake_ray)
    find = trigger._hook.find

    def find_then_break_logs(submission_id: str) -> Any:
        job = find(submission_id)
        fake_ray.answer_next = [500]
        return job

    trigger._hook.find = find_then_break_logs  # type: ignore[method-assign]
    event = await fire(trigger)
    assert (event["status"], event["message"], event["tail"]) == ("FAILED", "node died", "")


async def test_a_forgotten_job_is_lost(fake_ray: FakeRay) -> None:
    assert (await fire(make_trigger(fake_ray)))["status"] == LOST


async def test_past_its_deadline_the_job_is_stopped(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "RUNNING", logs="still at it\n")
    event = await fire(make_trigger(fake_ray, deadline=time.time() - 1))
    assert (event["status"], event["tail"]) == (LATE, "still at it")
    assert fake_ray.jobs["a.1"].status == "STOPPED"


async def test_a_user_who_kills_the_waiting_task_stops_the_job(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "RUNNING")
    await make_trigger(fake_ray).on_kill()
    assert fake_ray.jobs["a.1"].status == "STOPPED"


async def test_a_triggerer_that_shuts_down_leaves_the_job_running(fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "RUNNING")
    firing = asyncio.create_task(fire(make_trigger(fake_ray)))
    await asyncio.to_thread(fake_ray.wait_for, "GET /logs")
    firing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await firing
    assert fake_ray.jobs["a.1"].status == "RUNNING"


def test_it_survives_being_written_down_and_made_again(fake_ray: FakeRay) -> None:
    path, options = make_trigger(fake_ray, outage_s=7, deadline=123.5).serialize()
    assert path == "ray_job_trigger.RayJobTrigger"
    assert RayJobTrigger(**options).serialize() == (path, options)
