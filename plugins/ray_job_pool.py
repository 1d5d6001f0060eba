"""Keeps a pool that bounds how many Ray jobs Airflow has under way at once.

Waiting tasks hold no worker, so nothing else would keep a backfill of a year from starting ten jobs side by side.
The pool counts them. It is made with one slot when Airflow's processes start; give it more in the UI on a cluster.
"""

from typing import Any

import sqlalchemy as sa
from airflow.listeners import hookimpl

RAY_JOBS = "ray_jobs"


@hookimpl
def on_starting(component: Any) -> None:
    """Airflow calls this as each of its processes starts, also in workers, which have no database."""
    from airflow.jobs.job import Job  # noqa: PLC0415  here, because Dag files import this module for the name

    if isinstance(component, Job):
        ensure_pool()


def ensure_pool() -> None:
    """Make the pool unless it is there; someone's own number of slots stays."""
    from airflow.models.pool import Pool  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    try:
        with create_session() as session:
            if session.scalar(sa.select(Pool).where(Pool.pool == RAY_JOBS)) is None:
                description = "Ray jobs under way, waiting tasks included"
                session.add(Pool(pool=RAY_JOBS, slots=1, description=description, include_deferred=True))
    except sa.exc.IntegrityError:
        pass  # another process has just made it
