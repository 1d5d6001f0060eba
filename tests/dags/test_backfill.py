"""`airflow backfill create` on a Dag that assets trigger as well: one run a day, each over its own day."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

DAY = "%Y-%m-%d %H:%M"


@pytest.fixture(scope="module")
def backfill_dag(airflow_database, dag_bag):
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(dag_bag, "dags-folder", None)
    return dag_bag.dags["backfill_embeddings"]


def command(*arguments: str) -> None:
    """Run an `airflow` command in this process."""
    from airflow.cli.cli_parser import get_parser

    options = get_parser().parse_args(arguments)
    options.func(options)


def create_backfill(*more: str, dag_id: str = "backfill_embeddings") -> None:
    days = ("--from-date", "2025-10-01", "--to-date", "2025-10-03")
    command("backfill", "create", "--dag-id", dag_id, *days, *more)


def finish_all() -> None:
    """Let the runs and the backfills look finished, as a scheduler would."""
    from airflow.models.backfill import Backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    with create_session() as session:
        session.execute(sa.update(DagRun).values(state=DagRunState.SUCCESS))
        session.execute(sa.update(Backfill).values(completed_at=datetime.now(UTC)))


def runs(dag_id: str = "backfill_embeddings") -> list:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.scalars(sa.select(DagRun).where(DagRun.dag_id == dag_id))
        return sorted(found, key=lambda run: run.logical_date)


def entrypoint_of(dag, run, **params: str) -> str:
    context = {
        "params": {"corpus": "main", "nodes": "as set up"} | params,
        "dag_run": run,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
    }
    task = dag.get_task("embed_changes")
    return task.render_template(task.entrypoint, context, dag.get_template_env())


def test_each_day_is_a_run_over_that_day_and_a_second_backfill_doubles_nothing(backfill_dag) -> None:
    create_backfill()
    first = runs()
    assert [run.run_type for run in first] == ["backfill"] * 3
    days = [(run.data_interval_start.strftime(DAY), run.data_interval_end.strftime(DAY)) for run in first]
    assert days == [
        ("2025-10-01 00:00", "2025-10-02 00:00"),
        ("2025-10-02 00:00", "2025-10-03 00:00"),
        ("2025-10-03 00:00", "2025-10-04 00:00"),
    ]
    assert entrypoint_of(backfill_dag, first[0]) == (
        "python -m ray_apps.jobs.embed_corpus --corpus main"
        " --from 2025-10-01T00:00:00+00:00 --to 2025-10-02T00:00:00+00:00"
    )

    finish_all()
    create_backfill()
    assert {run.state for run in runs()} == {"success"}, "a day that has had its run is left alone"

    finish_all()
    create_backfill("--reprocess-behavior", "completed")
    again = runs()
    assert [run.run_id for run in again] == [run.run_id for run in first]
    assert {run.state for run in again} == {"queued"}
    finish_all()


def test_runs_of_the_maintenance_that_meet_remember_each_for_itself(backfill_dag, dag_bag) -> None:
    """A backfill may run beside the schedule: what one holds fast, the other must not take for its own."""
    create_backfill(dag_id="maintain_catalog")
    found = runs("maintain_catalog")
    assert {run.run_type for run in found} == {"backfill"}
    dag = dag_bag.dags["maintain_catalog"]
    names = [
        tuple(task.render_template(task.op_args, {"run_id": run.run_id}, dag.get_template_env()))
        for run in found
        for task in (dag.get_task("remember_searches"), dag.get_task("compare_searches"))
    ]
    assert names[0::2] == names[1::2]
    assert len(set(names)) == len(found) > 1
    finish_all()


def test_a_run_by_asset_or_by_hand_has_no_day(backfill_dag) -> None:
    from types import SimpleNamespace

    from airflow.sdk.api.datamodels._generated import DagRunType

    for run_type, corpus in (("asset_triggered", "'*'"), ("manual", "main")):
        run = SimpleNamespace(run_type=DagRunType(run_type), data_interval_start=None, data_interval_end=None)
        assert entrypoint_of(backfill_dag, run) == f"python -m ray_apps.jobs.embed_corpus --corpus {corpus}"


def test_a_run_may_be_put_on_nodes_of_one_class(backfill_dag) -> None:
    from types import SimpleNamespace

    from airflow.sdk.api.datamodels._generated import DagRunType

    run = SimpleNamespace(run_type=DagRunType("manual"), data_interval_start=None, data_interval_end=None)
    for nodes in ("spot", "on-demand"):
        assert entrypoint_of(backfill_dag, run, nodes=nodes).endswith(f"--corpus main --nodes {nodes}")
