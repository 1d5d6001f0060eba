"""Every night, end the index versions whose retention is over.

A version that no longer answers, or that failed, keeps its files and follows the log for `QUARRY_VERSION_RETENTION_S`,
so that a promotion can be taken back. After that its snapshot is removed; the catalog remembers that it was there, and
why it went.
"""

from airflow.sdk import task
from quarry_dag import at, quarry_dag

from include.quarry.settings import load_settings

with quarry_dag(__file__, doc=__doc__, schedule=at("0 2 * * *"), tags=["maintenance"], params={}) as dag:

    @task
    def expire_versions() -> list[str]:
        """End the versions whose retention is over; returns their ids."""
        from include.quarry.routing.retention import expire_versions as expire  # noqa: PLC0415 heavy

        return expire(load_settings())

    expire_versions()
