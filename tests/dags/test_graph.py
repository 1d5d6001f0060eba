"""The promises of the graphs, checked on the graphs themselves."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk import AssetOrTimeSchedule, TriggerRule
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable
from jinja2 import Template


def test_promotion_comes_only_after_the_completeness_check(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    way = ["decide", "embed_missing", "build_index", "check_completeness", "hold", "gate", "shadow", "approve"]
    way += ["canary_5", "canary_25", "canary_50", "promote", "remember"]
    assert {task.task_id for task in dag.tasks} == {*way, "take_off"}
    for before, after in pairwise(way):
        assert dag.get_task(after).upstream_task_ids == {before}
    assert dag.get_task("take_off").upstream_task_ids == set(way[:-1])


def test_nothing_runs_after_a_failure_but_what_takes_the_version_off_its_way(dag_bag) -> None:
    for dag in dag_bag.dags.values():
        rules = {task.task_id: task.trigger_rule for task in dag.tasks if task.task_id != "take_off"}
        assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}
    assert dag_bag.dags["reindex_corpus"].get_task("take_off").trigger_rule == TriggerRule.ONE_FAILED


def test_the_build_the_check_and_the_promotion_speak_of_the_same_version(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    context = {"params": {"corpus": "main", "spec": "default"}, "run_id": "manual__2026-11-22T00:00:00+00:00"}
    environment = dag.get_template_env()
    render = dag.get_task("build_index").render_template
    (checked,) = render(dag.get_task("check_completeness").op_args, context, environment)
    (promoted,) = render(dag.get_task("promote").op_args, context, environment)
    built = render(dag.get_task("build_index").entrypoint, context, environment)
    assert checked == promoted
    assert built.endswith(f"--version-id {checked}")
    other = render(dag.get_task("promote").op_args, {**context, "run_id": "manual__2"}, environment)
    assert other != (promoted,)


def test_an_index_spec_reaches_the_jobs_as_one_argument(dag_bag) -> None:
    import shlex

    dag = dag_bag.dags["reindex_corpus"]
    spec = '{"embedding": {"dtype": "int8"}}; echo $HOME'
    context = {"params": {"corpus": "main", "spec": spec}, "run_id": "r"}
    for task_id in ("embed_missing", "build_index"):
        task = dag.get_task(task_id)
        words = shlex.split(task.render_template(task.entrypoint, context, dag.get_template_env()))
        assert words[words.index("--spec") + 1] == spec


def test_an_embedding_run_follows_an_ingestion_and_the_calendar(dag_bag) -> None:
    timetable = dag_bag.dags["backfill_embeddings"].timetable
    assert isinstance(timetable, AssetOrTimeSchedule)
    assert uris(timetable) == {"quarry://catalog/main"}
    assert outlets(dag_bag, "ingest_documents") == {"announce_changes": ["quarry://catalog/main"]}


def test_a_reindex_follows_an_embedding_run(dag_bag) -> None:
    timetable = dag_bag.dags["reindex_corpus"].timetable
    assert isinstance(timetable, AssetTriggeredTimetable)
    assert uris(timetable) == {"quarry://lake/main", "quarry://drift/main"}
    assert outlets(dag_bag, "backfill_embeddings") == {"embed_changes": ["quarry://lake/main"]}


@pytest.mark.parametrize("dag_id", ["ingest_documents", "evaluate_relevance", "maintain_catalog"])
def test_a_fresh_installation_does_not_run_for_times_that_have_passed(dag_bag, dag_id: str) -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    dag = dag_bag.dags[dag_id]
    assert dag.start_date is None
    before = datetime.now(UTC)
    restriction = TimeRestriction(earliest=None, latest=None, catchup=dag.catchup)
    timetable = coerce_to_core_timetable(dag.timetable)
    assert timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction).run_after > before


def test_the_gate_is_not_asked_twice(dag_bag) -> None:
    assert dag_bag.dags["evaluate_relevance"].get_task("judge").retries == 0


def uris(timetable: AssetTriggeredTimetable) -> set[str]:
    return {asset.uri for asset in timetable.asset_condition.objects}


def outlets(dag_bag, dag_id: str) -> dict[str, list[str]]:
    return {task.task_id: [a.uri for a in task.outlets] for task in dag_bag.dags[dag_id].tasks if task.outlets}


@pytest.mark.parametrize(("run_type", "asked_by"), [(DagRunType.ASSET_TRIGGERED, "asset"), (DagRunType.MANUAL, "hand")])
def test_an_asset_event_is_told_from_a_request_by_hand(dag_bag, run_type: DagRunType, asked_by: str) -> None:
    """With the type that Airflow itself hands to the template, which does not render as its value."""
    _, template = dag_bag.dags["reindex_corpus"].get_task("decide").op_args
    assert Template(template).render(dag_run=SimpleNamespace(run_type=run_type)) == asked_by


def test_drift_is_reported_before_it_is_acted_upon_and_asks_for_a_reindex(dag_bag) -> None:
    dag = dag_bag.dags["detect_drift"]
    assert dag.get_task("report").upstream_task_ids == {"detect"}
    assert dag.get_task("act").upstream_task_ids == {"report"}
    assert outlets(dag_bag, "detect_drift") == {"act": ["quarry://drift/main"]}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"corpus": "main", "outcome": "drift"}, None),
        ({"corpus": "other", "outcome": "drift"}, "AirflowSkipException"),
        ({"corpus": "main", "outcome": "watch"}, "AirflowSkipException"),
        ({"corpus": "main", "outcome": "model_changed", "remedy": {"reason": "pin it"}}, "AirflowFailException"),
    ],
)
def test_drift_asks_for_a_version_and_a_changed_model_is_an_alarm(dag_bag, verdict, expected) -> None:
    act = dag_bag.dags["detect_drift"].get_task("act").python_callable
    if expected is None:
        assert act(verdict) is None
        return
    with pytest.raises(Exception, match=r".") as raised:
        act(verdict)
    assert type(raised.value).__name__ == expected


@pytest.mark.parametrize(
    ("run_type", "since", "until"),
    [
        ("scheduled", "2026-02-01T04:00:00+00:00", "2026-03-01T04:00:00+00:00"),
        ("backfill", "2026-02-01T04:00:00+00:00", "2026-03-01T04:00:00+00:00"),
        ("manual", "2026-02-10T09:00:00+00:00", "2026-03-12T09:00:00+00:00"),
    ],
)
def test_a_review_reads_its_month_and_by_hand_the_last_thirty_days(dag_bag, run_type, since, until) -> None:
    review = dag_bag.dags["review_feedback"].get_task("review")
    known = {
        "dag_run": SimpleNamespace(run_type=run_type, run_after=datetime(2026, 3, 12, 9, tzinfo=UTC)),
        "data_interval_start": datetime(2026, 2, 1, 4, tzinfo=UTC),
        "data_interval_end": datetime(2026, 3, 1, 4, tzinfo=UTC),
        "macros": SimpleNamespace(timedelta=timedelta),
    }
    templates = review.op_args[1:]
    assert [Template(template).render(**known) for template in templates] == [since, until]


def test_a_drift_event_is_a_reason_to_reindex_and_a_lake_event_is_not(dag_bag, monkeypatch) -> None:
    monkeypatch.setattr("include.quarry.routing.promotion.needs_reindex", lambda corpus, settings: False)
    decide = dag_bag.dags["reindex_corpus"].get_task("decide").python_callable
    lake, drift = SimpleNamespace(uri="quarry://lake/main"), SimpleNamespace(uri="quarry://drift/main")
    assert decide("main", "asset", [lake]) is False
    assert decide("main", "asset", [lake, drift]) is True
    assert decide("main", "hand") is True
