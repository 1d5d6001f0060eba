"""Every night, have Airflow and Ray forget what is older than `QUARRY_AIRFLOW_RETENTION_S`.

Runs go with their tasks, tries and XComs, and so do events, the log of what was done in the UI, Dag versions that no
run knows any more, and the log files of tasks and of the reading of Dag files. What stays, with its logs: the last run
of each Dag, for each way to start it; runs that have not ended; runs of a backfill that is not complete.

SQLite's file does not shrink by this: what has become free in it is used again.

Ray's log files of jobs and workers go too, but for those that a process still holds open.

Where Airflow or Ray run elsewhere (`QUARRY_AIRFLOW_ADDRESS`, `QUARRY_RAY_ADDRESS`), their part is skipped. `python -m
include.quarry clean-airflow` runs beside Airflow's scheduler then.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from quarry_dag import at, quarry_dag, run_to_the_end

from include.quarry.operations.installation import Installation
from include.quarry.settings import load_settings

with quarry_dag(__file__, doc=__doc__, schedule=at("30 1 * * *"), tags=["maintenance"], params={}) as dag:

    @task
    def clean_airflow() -> None:
        """Remove old runs, rows and log files: by a process of its own, since a task may not reach the database."""
        if load_settings().airflow_address:
            raise AirflowSkipException("Airflow runs elsewhere; `python -m include.quarry clean-airflow` does it there")
        run_to_the_end("include.quarry", "clean-airflow")

    @task
    def forget_ray_logs() -> int:
        """Remove the log files of jobs and workers that are over; returns how many those were."""
        from include.quarry.operations.ray_logs import forget_ray_logs as forget  # noqa: PLC0415 heavy

        settings = load_settings()
        if settings.ray_address:
            raise AirflowSkipException("Ray runs elsewhere; its logs are not on this machine")
        return forget(Installation(settings), datetime.now(UTC) - timedelta(seconds=settings.airflow_retention_s))

    clean_airflow()
    forget_ray_logs()
