"""Turns: who is at work on a corpus keeps others waiting, and who is not keeps nobody."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.quarry.catalog.database import migrate, opened
from include.quarry.catalog.turns import runs_ahead
from include.quarry.errors import Unavailable
from include.quarry.settings import load_settings
from tests.dags.airflow_home import prepare_home

prepare_home()

import corpus_turn  # noqa: E402 - Airflow reads its home when it is imported
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, TaskDeferred  # noqa: E402
from airflow.sdk.execution_time.comms import ErrorResponse  # noqa: E402
from corpus_turn import CorpusTurn, CorpusTurnTrigger, demand_turn  # noqa: E402


@pytest.fixture(autouse=True)
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The runs that Airflow has under way; the catalog is empty."""
    runs: set[str] = set()
    monkeypatch.setattr(corpus_turn, "count_running", lambda dag_id, run_ids: len(runs & set(run_ids)))
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    load_settings.cache_clear()
    migrate(load_settings().catalog_url)
    yield runs
    load_settings.cache_clear()


def context(run_id: str) -> Any:
    return {"ti": SimpleNamespace(dag_id="reindex_corpus", run_id=run_id)}


def take(run_id: str, corpus: str = "docs") -> list[str]:
    """The runs that are waited for; empty for one that has its turn."""
    try:
        CorpusTurn(task_id="take_turn", corpus=corpus).execute(context(run_id))
    except TaskDeferred as deferred:
        assert isinstance(deferred.trigger, CorpusTurnTrigger)
        assert (deferred.method_name, deferred.timeout) == ("proceed", None)
        assert deferred.trigger.serialize() == waiting(run_id).serialize()
        with opened(load_settings().catalog_url) as database, database.read() as connection:
            return runs_ahead(connection, run_id) or []
    demand_turn(context(run_id))
    return []


def waiting(run_id: str, poll_s: float = 5.0) -> CorpusTurnTrigger:
    return CorpusTurnTrigger(dag_id="reindex_corpus", run_id=run_id, poll_s=poll_s)


async def wait(run_id: str) -> None:
    """Let the trigger of a run come to its end, or fail."""
    fired = [event.payload async for event in waiting(run_id, 0.001).run()]
    assert fired == [{"run_id": run_id}]


def test_a_run_waits_for_the_one_at_work_on_its_corpus_and_for_no_other(running: set[str]) -> None:
    running |= {"a", "b", "c"}
    assert take("a") == []
    assert take("b") == ["a"]
    assert take("c", "wiki") == []


def test_runs_that_wait_go_as_they_came(running: set[str]) -> None:
    running |= {"a", "b", "c"}
    take("a"), take("b"), take("c")
    running.remove("a")
    assert take("c") == ["b"]
    assert take("b") == []


def test_a_try_after_a_killed_worker_has_the_turn_still(running: set[str]) -> None:
    running |= {"a", "b"}
    take("a"), take("b")
    assert take("a") == []


def test_a_run_that_is_over_keeps_nobody_waiting_whether_it_had_its_turn_or_not(running: set[str]) -> None:
    running |= {"a", "b"}
    take("a"), take("b")
    running.clear()
    running.add("c")
    assert take("c") == []


def test_a_cleared_run_waits_for_the_one_that_came_since(running: set[str]) -> None:
    running.add("a")
    take("a")
    running.remove("a")
    running.add("b")
    take("b")
    running.add("a")
    with pytest.raises(AirflowFailException, match="clear the whole run"):
        demand_turn(context("a"))
    assert take("a") == ["b"]


async def test_the_wait_ends_when_all_ahead_have_ended(running: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    running |= {"a", "b", "c"}
    take("a"), take("b"), take("c")
    looks = 0

    def count(dag_id: str, run_ids: list[str]) -> int:
        nonlocal looks
        looks += 1
        if looks > 2 and running:
            running.discard(min(running))
        return len(running & set(run_ids))

    monkeypatch.setattr(corpus_turn, "count_running", count)
    await wait("c")
    assert looks == 4
    path, said = waiting("c").serialize()
    assert path == "corpus_turn.CorpusTurnTrigger"
    assert CorpusTurnTrigger(**said).serialize() == (path, said)


async def test_a_run_that_was_cleared_behind_those_who_waited_for_it_keeps_them_waiting_no_longer(
    running: set[str],
) -> None:
    """Else it would wait for them, and they for it."""
    running |= {"a", "b", "c"}
    take("a"), take("b"), take("c")
    running.remove("a")
    assert take("b") == []
    running.add("a")
    assert take("a") == ["b", "c"]
    running.remove("b")
    await asyncio.wait_for(wait("c"), 10)
    assert take("c") == []
    assert take("a") == ["c"]


async def test_a_run_that_was_taken_out_while_it_waited_stands_in_line_again(running: set[str]) -> None:
    running |= {"a", "b", "c"}
    take("a"), take("b")
    running.remove("b")
    take("c")
    running.add("b")
    await asyncio.wait_for(wait("b"), 10)
    assert take("b") == ["a", "c"]


@pytest.mark.parametrize(
    "outage", [Unavailable("the catalog is restarted"), AirflowRuntimeError(ErrorResponse(detail={"status_code": 500}))]
)
async def test_an_outage_does_not_end_a_wait(
    running: set[str], monkeypatch: pytest.MonkeyPatch, outage: Exception
) -> None:
    running |= {"a", "b"}
    take("a"), take("b")
    running.remove("a")
    outages = [outage, outage]

    def count(dag_id: str, run_ids: list[str]) -> int:
        if outages:
            raise outages.pop()
        return len(running & set(run_ids))

    monkeypatch.setattr(corpus_turn, "count_running", count)
    await asyncio.wait_for(wait("b"), 10)
    assert not outages


def test_a_run_of_another_corpus_may_have_the_name_of_one_that_was_deleted(running: set[str]) -> None:
    running.add("a")
    take("a")
    assert take("a", "wiki") == []
    assert take("b") == []
