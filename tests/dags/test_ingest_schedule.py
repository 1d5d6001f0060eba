"""`ingest_documents` wakes by its schedule and on news of a topic, and fails when what is searchable is too old."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stream_alarm
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException
from quarry_dag import at
from stream_alarm import or_on_news, ring

from include.quarry.feeds.alarm import alarms, connections
from tests.dags.airflow_home import ROOT
from tests.dags.test_dag_files import PARSE

FEEDS = """
feeds:
  - {kind: kafka, servers: "broker:9092", topic: pages, corpus: wiki, options: {sasl.password: "hidden"}}
  - {kind: kafka, servers: "broker:9092", topic: notes}
  - {kind: postgres, dsn: "postgresql://x", table: t, rows: {key: [id], text: [body]}}
"""


@pytest.fixture
def feeds(tmp_path: Path) -> str:
    (tmp_path / "feeds.yaml").write_text(FEEDS)
    return str(tmp_path / "feeds.yaml")


def test_without_a_topic_only_the_schedule_counts(dag_bag) -> None:
    assert isinstance(or_on_news(at("0 * * * *"), ""), CronTriggerTimetable)
    assert not isinstance(dag_bag.dags["ingest_documents"].timetable, AssetOrTimeSchedule)


def test_news_of_any_topic_wakes_it_as_well(feeds: str) -> None:
    timetable = or_on_news(at("0 * * * *"), feeds)
    assert isinstance(timetable, AssetOrTimeSchedule)
    watchers = [watcher for asset in timetable.asset_condition.objects for watcher in asset.watchers]
    triggers = [watcher.trigger.serialize() for watcher in watchers]
    assert {path for path, _ in triggers} == {
        "airflow.providers.apache.kafka.triggers.await_message.AwaitMessageTrigger"
    }
    assert [tuple(more["topics"]) for _, more in triggers] == [("pages",), ("notes",)]
    assert {more["apply_function"] for _, more in triggers} == {"stream_alarm.ring"}


def test_what_airflow_stores_of_a_watcher_names_a_connection_and_no_secret(feeds: str) -> None:
    timetable = or_on_news(at("0 * * * *"), feeds)
    stored = json.dumps([w.trigger.serialize() for asset in timetable.asset_condition.objects for w in asset.watchers])
    assert "hidden" not in stored
    (pages, notes) = alarms(feeds)
    assert pages.connection in stored
    given = {name: json.loads(value) for name, value in connections(feeds).items()}
    assert given.keys() == {f"AIRFLOW_CONN_{alarm.connection.upper()}" for alarm in (pages, notes)}
    extra = given[f"AIRFLOW_CONN_{pages.connection.upper()}"]["extra"]
    assert (extra["bootstrap.servers"], extra["sasl.password"]) == ("broker:9092", "hidden")
    assert extra["group.id"] != pages.spec.group, "it must take no partition from those who read"


def test_feeds_that_are_described_wrongly_do_not_stop_the_schedule(tmp_path: Path) -> None:
    (tmp_path / "feeds.yaml").write_text("feeds: [{kind: kafka}]")
    assert isinstance(or_on_news(at("0 * * * *"), str(tmp_path / "feeds.yaml")), CronTriggerTimetable)
    assert connections(str(tmp_path / "feeds.yaml")) == {}


def test_the_dag_still_parses_quickly_with_a_topic_and_imports_nothing_heavy(feeds: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QUARRY_FEEDS": feeds}
    command = [sys.executable, "-c", PARSE, str(ROOT / "dags/ingest_documents.py")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    parsed = json.loads(line.removeprefix("RESULT "))
    assert (parsed["errors"], parsed["heavy"], parsed["dags"]) == ({}, [], ["ingest_documents"])
    assert parsed["seconds"] < 3


def message(topic: str, offset: int) -> Any:
    return SimpleNamespace(topic=lambda: topic, partition=lambda: 2, offset=lambda: offset, value=lambda: b"secret")


def test_the_alarm_tells_where_a_message_stands_and_rings_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(stream_alarm, "_rang_at", {})
    monkeypatch.setattr(stream_alarm.time, "monotonic", lambda: now[0])
    assert ring(message("pages", 7)) == {"topic": "pages", "partition": 2, "offset": 7}
    assert ring(message("pages", 8)) is None
    assert ring(message("notes", 1)) is not None
    now[0] += 60
    assert ring(message("pages", 9)) == {"topic": "pages", "partition": 2, "offset": 9}


@pytest.mark.parametrize(("lag_s", "fails"), [(1799.0, False), (1801.0, True)])
def test_a_lag_beyond_the_slo_fails_the_run_for_good(
    dag_bag, monkeypatch: pytest.MonkeyPatch, lag_s: float, fails: bool
) -> None:
    lags = {"corpus main": 0.5, "topic pages": lag_s}
    monkeypatch.setattr("include.quarry.operations.freshness.lags", lambda settings: lags)
    check = dag_bag.dags["ingest_documents"].get_task("check_freshness").python_callable
    if not fails:
        assert check() == lags
        return
    with pytest.raises(AirflowFailException, match="topic pages lags 1801 s; 1800 s are allowed"):
        check()
