"""Removes what Airflow has kept for long enough: runs and all that hangs on them, events, log rows, log files.

`python -m include.quarry clean-airflow` runs it as a program of its own, since no task may reach Airflow's database.
It writes in small transactions, so that a scheduler on the same SQLite file never waits for long, and one that was
killed goes on where it was.

Airflow's own `airflow db clean` does the tables that stand alone. It is not asked to do runs: it would take some that
still run, the tasks of the last one of a Dag, and the run by which the scheduler counts where assets start runs too.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import pendulum
import sqlalchemy as sa
from airflow.configuration import conf
from airflow.models.backfill import Backfill
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.db import check_migrations
from airflow.utils.db_cleanup import run_cleanup
from airflow.utils.session import create_session
from airflow.utils.state import State

from include.quarry.errors import QuarryError, Unavailable
from include.quarry.settings import load_settings

_RUNS_AT_ONCE = 50
_ROWS_AT_ONCE = 1_000
_ALONE = ["asset_event", "callback", "import_error", "job", "log", "partitioned_asset_key_log", "revoked_token"]
"""Tables whose rows hang on no run; callbacks take deadlines with them that are past."""
_TASK_FOLDER = re.compile(r"dag_id=[^/]+/run_id=[^/]+/task_id=[^/]+(/map_index=\d+)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def main() -> None:
    """Do all of it, by `QUARRY_AIRFLOW_RETENTION_S`."""
    before = datetime.now(UTC) - timedelta(seconds=load_settings().airflow_retention_s)
    require_migrated()
    print(f"removed {forget_runs(before)} runs that ended before {before.isoformat(timespec='seconds')}", flush=True)
    print(f"removed {forget_versions(before)} Dag versions that nothing uses", flush=True)
    forget_rows(before)
    logs = Path(conf.get("logging", "base_log_folder"))
    print(f"removed {remove_task_logs(logs, before)} log files of tasks in {logs}", flush=True)
    said = Path(conf.get("logging", "dag_processor_child_process_log_directory"))
    print(f"removed {remove_parse_logs(said, before)} days of logs of the reading of Dag files in {said}", flush=True)


def require_migrated() -> None:
    """Raise `Unavailable` where the database is not there, or has not the tables of this version of Airflow."""
    try:
        check_migrations(timeout=1)  # type: ignore[no-untyped-call]
    except (sa.exc.OperationalError, TimeoutError) as error:  # the latter is its word for tables that are not there
        url = sa.make_url(conf.get("database", "sql_alchemy_conn")).render_as_string()  # without its password
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise Unavailable(
            f"Airflow's database {url} is not there, or not as this Airflow wants it ({reason}); `make up` makes it. "
            "Where Airflow runs elsewhere, `airflow db migrate` does, and "
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN says where it is"
        ) from error


def forget_runs(before: datetime) -> int:
    """Remove the runs that ended before then; returns how many. Tasks, tries, XComs and notes go with their run.

    Of each Dag and each way to start it the last run stays, and so does what a backfill that is not complete works on.
    """
    ended = (DagRun.state.in_(State.finished_dr_states), DagRun.end_date < before)
    complete = sa.select(Backfill.id).where(Backfill.completed_at.is_not(None))
    free = DagRun.backfill_id.is_(None) | DagRun.backfill_id.in_(complete)
    with create_session() as session:
        runs = session.scalars(sa.select(DagRun.id).where(*ended, free, DagRun.id.not_in(_last_runs()))).all()
    # Asked again as they go, since somebody may have cleared one meanwhile.
    return sum(_delete(DagRun, DagRun.id.in_(some), *ended, free) for some in _batches(runs, _RUNS_AT_ONCE))


def forget_versions(before: datetime) -> int:
    """Remove the Dag versions from before then that no run knows and that a newer one replaced; returns how many."""
    newest = sa.select(DagVersion.dag_id, sa.func.max(DagVersion.version_number)).group_by(DagVersion.dag_id)
    unused = (
        ~sa.exists().where(TaskInstance.dag_version_id == DagVersion.id),
        ~sa.exists().where(DagRun.created_dag_version_id == DagVersion.id),
        sa.tuple_(DagVersion.dag_id, DagVersion.version_number).not_in(newest),
    )
    with create_session() as session:
        versions = session.scalars(sa.select(DagVersion.id).where(DagVersion.created_at < before, *unused)).all()
    return sum(_delete(DagVersion, DagVersion.id.in_(some), *unused) for some in _batches(versions, _RUNS_AT_ONCE))


def forget_rows(before: datetime) -> None:
    """Have Airflow clean the tables that stand alone. Raises `RuntimeError` when it did not get through one of them."""
    run_cleanup(
        clean_before_timestamp=pendulum.instance(before),
        table_names=_ALONE,
        confirm=False,
        skip_archive=True,
        batch_size=_ROWS_AT_ONCE,
        error_on_cleanup_failure=True,
    )


def remove_task_logs(folder: Path, before: datetime) -> int:
    """Remove the logs of tasks that were last written before then, and the folders of runs that this empties.

    Returns how many logs those were. A run that Airflow still knows keeps its logs. No link is followed, and no file of
    another name or in another place is touched.
    """
    removed = 0
    with create_session() as session:
        runs = session.execute(sa.select(DagRun.dag_id, DagRun.run_id)).all()
    known = {folder / f"dag_id={dag_id}" / f"run_id={run_id}" for dag_id, run_id in runs}
    for place, _, names in os.walk(folder):
        here = Path(place)
        if not _TASK_FOLDER.fullmatch(str(here.relative_to(folder))) or not known.isdisjoint(here.parents):
            continue
        logs = [here / name for name in names if fnmatch(name, "attempt=*.log*")]
        old = [log for log in logs if not log.is_symlink() and log.stat().st_mtime < before.timestamp()]
        for log in old:
            log.unlink()
        removed += len(old)
        while old and here.parent != folder and not any(here.iterdir()):  # a Dag's own folder stays
            here.rmdir()
            here = here.parent
    return removed


def remove_parse_logs(folder: Path, before: datetime) -> int:
    """Remove what Airflow logged while it read the Dag files, which it does twice a minute: a folder a day.

    Returns how many days that were. What is not named by a day is left, and so is a link.
    """
    days = [day for day in folder.glob("*") if _DAY.fullmatch(day.name) and not day.is_symlink()]
    old = [day for day in days if day.name < before.date().isoformat()]
    for day in old:
        shutil.rmtree(day)
    return len(old)


def _last_runs() -> sa.Select[tuple[int]]:
    """The runs that must stay: the schedule goes on after the last logical date, people look at what came last."""
    kind, orders = (DagRun.dag_id, DagRun.run_type), (DagRun.id, DagRun.logical_date, DagRun.run_after)
    places = [sa.func.row_number().over(partition_by=kind, order_by=sa.nulls_last(by.desc())) for by in orders]
    ranked = sa.select(DagRun.id, *(place.label(f"place_{number}") for number, place in enumerate(places))).subquery()
    return sa.select(ranked.c.id).where(sa.or_(*(column == 1 for column in list(ranked.c)[1:])))


def _delete(table: type[DagRun | DagVersion], *where: Any) -> int:
    """One short transaction; the database takes along what hangs on the rows."""
    with create_session() as session:
        done = session.execute(sa.delete(table).where(*where).execution_options(synchronize_session=False))
        return cast("sa.CursorResult[Any]", done).rowcount


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


if __name__ == "__main__":
    try:
        main()
    except QuarryError as error:
        sys.exit(f"{error.title}: {error}")
