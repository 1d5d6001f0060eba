"""The promises of the graphs, checked on the graphs themselves."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetOrTimeSchedule, PartitionedAssetTimetable, TriggerRule
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from jinja2 import Template


def test_promotion_comes_only_after_the_completeness_check(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    way = ["take_turn", "decide", "embed_missing", "build_index", "check_completeness", "hold", "gate", "shadow"]
    way += ["approve", "canary_5", "canary_25", "canary_50", "promote", "remember"]
    assert {task.task_id for task in dag.tasks} == {*way, "take_off"}
    for before, after in pairwise(way):
        assert dag.get_task(after).upstream_task_ids == {before}
    assert dag.get_task("take_off").upstream_task_ids == set(way[:-1])


def test_nothing_runs_after_a_failure_but_what_takes_the_version_off_its_way(dag_bag) -> None:
    for dag in dag_bag.dags.values():
        rules = {task.task_id: task.trigger_rule for task in dag.tasks if task.task_id != "take_off"}
        assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}
    assert dag_bag.dags["reindex_corpus"].get_task("take_off").trigger_rule == TriggerRule.ONE_FAILED


def test_other_corpora_are_reindexed_while_runs_wait_and_every_task_wants_the_turn_of_its_corpus(dag_bag) -> None:
    from corpus_turn import demand_turn

    dag = dag_bag.dags["reindex_corpus"]
    assert dag.max_active_runs == 100
    free = {task.task_id for task in dag.tasks if task._pre_execute_hook is not demand_turn}
    assert free == {"take_turn", "take_off"}
    assert dag.get_task("take_turn").pool == "default_pool", "who waits for a turn must not hold up a Ray job"


def test_the_build_the_check_and_the_promotion_speak_of_the_same_version(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    run_id = "manual__2026-11-22T00:00:00+00:00"
    context = {"params": {"corpus": "main", "spec": "default"}, "run_id": run_id, "partition_key": None}
    environment = dag.get_template_env()
    render = dag.get_task("build_index").render_template
    (checked,) = render(dag.get_task("check_completeness").op_args, context, environment)
    (promoted,) = render(dag.get_task("promote").op_args, context, environment)
    built = render(dag.get_task("build_index").entrypoint, context, environment)
    assert checked == promoted
    assert built[-2:] == ["--version-id", checked]
    other = render(dag.get_task("promote").op_args, {**context, "run_id": "manual__2"}, environment)
    assert other != (promoted,)


def test_a_run_that_an_event_started_is_about_the_corpus_of_the_event(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    context = {"params": {"corpus": "main", "spec": "live", "suite": "auto"}, "run_id": "r", "partition_key": "wiki"}
    for task_id in ("decide", "embed_missing", "build_index", "check_completeness", "gate", "promote", "remember"):
        task = dag.get_task(task_id)
        words = getattr(task, "entrypoint", None) or [arg for arg in task.op_args if isinstance(arg, str)]
        rendered = " ".join(task.render_template(words, context, dag.get_template_env()))
        assert "wiki" in rendered
        assert "main" not in rendered
    take_turn = dag.get_task("take_turn")
    assert take_turn.render_template(take_turn.corpus, context, dag.get_template_env()) == "wiki"


def test_an_index_spec_reaches_the_jobs_as_one_argument(dag_bag) -> None:
    dag = dag_bag.dags["reindex_corpus"]
    spec = '{"embedding": {"dtype": "int8"}}; echo $HOME'
    context = {"params": {"corpus": "main", "spec": spec}, "run_id": "r", "partition_key": None}
    for task_id in ("embed_missing", "build_index"):
        task = dag.get_task(task_id)
        words = task.render_template(task.entrypoint, context, dag.get_template_env())
        assert words[words.index("--spec") + 1] == spec


def test_an_embedding_run_follows_an_ingestion_and_the_calendar(dag_bag) -> None:
    timetable = dag_bag.dags["backfill_embeddings"].timetable
    assert isinstance(timetable, AssetOrTimeSchedule)
    assert watched(timetable) == {"quarry://catalog"}
    assert outlets(dag_bag, "ingest_documents") == {"announce_changes": ["quarry://catalog"]}


def test_a_reindex_follows_an_embedding_run(dag_bag) -> None:
    timetable = dag_bag.dags["reindex_corpus"].timetable
    assert isinstance(timetable, PartitionedAssetTimetable)
    assert watched(timetable) == {"quarry://lake", "quarry://drift"}
    assert outlets(dag_bag, "backfill_embeddings") == {"announce_corpora": ["quarry://lake"]}


def test_an_embedding_run_asks_for_the_first_version_of_every_corpus_that_has_none(dag_bag, monkeypatch) -> None:
    unanswered = ["docs", "wiki"]
    monkeypatch.setattr("include.quarry.routing.promotion.unanswered_corpora", lambda settings: unanswered)
    announce = dag_bag.dags["backfill_embeddings"].get_task("announce_corpora").python_callable
    events = OutletEventAccessors()
    announce(events)
    assert events[Asset("quarry://lake")].partition_keys == {"docs", "wiki"}
    unanswered.clear()
    with pytest.raises(AirflowSkipException):
        announce(events)


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


@pytest.mark.usefixtures("settings_of_fakes")
@pytest.mark.parametrize(
    ("said", "suite", "expected"),
    [
        ({}, "auto", "--suite environment --corpus main"),
        ({"QUARRY_DOCS": "/mine"}, "auto", None),
        ({"QUARRY_GATE_SUITE": ""}, "auto", None),
        ({"QUARRY_DOCS": "/mine", "QUARRY_GATE_SUITE": "/my suite"}, "auto", "--suite '/my suite' --corpus main"),
        ({"QUARRY_DOCS": "/mine"}, "quarry_town", "--suite quarry_town"),
    ],
)
def test_each_night_is_judged_by_the_suite_that_fits_the_documents_or_by_none(
    dag_bag, monkeypatch, said, suite, expected
) -> None:
    dag = dag_bag.dags["evaluate_relevance"]
    assert dag.params["suite"] == "auto"
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    judge = dag.get_task("judge").python_callable
    if expected is None:
        with pytest.raises(AirflowSkipException, match="QUARRY_GATE_SUITE"):
            judge(suite)
        return
    assert judge(suite).endswith(f"-m evaluation gate {expected} --url http://127.0.0.1:8000")


def watched(timetable: AssetTriggeredTimetable) -> set[str]:
    return {asset.name for asset in timetable.asset_condition.objects}


def outlets(dag_bag, dag_id: str) -> dict[str, list[str]]:
    return {task.task_id: [asset.name for asset in task.outlets] for task in dag_bag.dags[dag_id].tasks if task.outlets}


def test_drift_is_reported_before_it_is_acted_upon_and_asks_for_a_reindex(dag_bag) -> None:
    dag = dag_bag.dags["detect_drift"]
    assert "watch.detect" in dag.get_task("watch.report").upstream_task_ids
    assert "watch.report" in dag.get_task("watch.act").upstream_task_ids
    assert outlets(dag_bag, "detect_drift") == {"watch.act": ["quarry://drift"]}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"corpus": "main", "outcome": "drift"}, None),
        ({"corpus": "other", "outcome": "drift"}, None),
        ({"corpus": "main", "outcome": "watch"}, "AirflowSkipException"),
        ({"corpus": "main", "outcome": "model_changed", "remedy": {"reason": "pin it"}}, "AirflowFailException"),
    ],
)
def test_drift_asks_for_a_version_and_a_changed_model_is_an_alarm(dag_bag, verdict, expected) -> None:
    act, events = dag_bag.dags["detect_drift"].get_task("watch.act").python_callable, OutletEventAccessors()
    if expected is None:
        act(verdict, events)
        assert events[Asset("quarry://drift")].partition_keys == {verdict["corpus"]}
        return
    with pytest.raises(Exception, match=r".") as raised:
        act(verdict, events)
    assert type(raised.value).__name__ == expected
    assert not events


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
    monkeypatch.setattr("include.quarry.routing.promotion.unanswered_corpora", lambda settings: ["other"])
    decide = dag_bag.dags["reindex_corpus"].get_task("decide").python_callable
    lake, drift = Asset("quarry://lake"), Asset("quarry://drift")
    assert decide("main", [lake]) is False
    assert decide("other", [lake]) is True
    assert decide("main", [lake, drift]) is True
    assert decide("main") is True
