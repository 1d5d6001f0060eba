"""Every night, have Airflow forget what is older than `QUARRY_AIRFLOW_RETENTION_S`.

Runs go with their tasks, tries and XComs, and so do events, the log of what was done in the UI, Dag versions that no
run knows any more, and the log files of tasks and of the reading of Dag files. What stays, with its logs: the last run
of each Dag, for each way to start it; runs that have not ended; runs of a backfill that is not complete.

SQLite's file does not shrink by this: what has become free in it is used again.

Where Airflow runs elsewhere (`QUARRY_AIRFLOW_ADDRESS`), this is skipped: `python -m include.quarry clean-airflow` runs
beside its scheduler then.
"""

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from quarry_dag import at, quarry_dag, run_to_the_end

from include.quarry.settings import load_settings

with quarry_dag(__file__, doc=__doc__, schedule=at("30 1 * * *"), tags=["maintenance"], params={}) as dag:

    @task
    def clean_airflow() -> None:
        """Remove old runs, rows and log files: by a process of its own, since a task may not reach the database."""
        if load_settings().airflow_address:
            raise AirflowSkipException("Airflow runs elsewhere; `python -m include.quarry clean-airflow` does it there")
        run_to_the_end("include.quarry", "clean-airflow")

    clean_airflow()
