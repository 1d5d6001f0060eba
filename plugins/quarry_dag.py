"""The skeleton that all of Quarry's Dags share, so that a Dag file holds only what is its own."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param
from failure_notice import notify_failure

from include.quarry.index_specs import index_spec_names

CATALOG = Asset("quarry://catalog/main")
LAKE = Asset("quarry://lake/main")

_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def quarry_dag(
    file: str,
    *,
    doc: str | None,
    schedule: Any,
    tags: Sequence[str],
    params: Mapping[str, Any],
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> DAG:
    """A Dag named after its file and explained by its docstring.

    One run at a time and no catching up: a run looks at what is pending, so a missed one loses nothing. There is no
    start date, because a backfill may reach back as far as it likes. Tasks are tried three times, end after two hours,
    and tell people when they have failed for good.
    """
    return DAG(
        dag_id=Path(file).stem,
        doc_md=doc,
        description=(doc or "").strip().partition("\n")[0],
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        params=dict(params),
        tags={"quarry", *tags},
        user_defined_filters={"quote": shlex.quote, **(filters or {})},
        default_args={
            "owner": "quarry",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(hours=2),
            "on_failure_callback": notify_failure,
        },
    )


def at(cron: str) -> CronTriggerTimetable:
    """Run at these times, UTC, and never at once for a time that has passed before the Dag was known."""
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))


def name_param(default: str, description: str) -> Param:
    """A parameter that names something: small letters, digits, dot, dash and underscore."""
    return Param(default, type="string", pattern=_NAME, description=description)


def spec_param() -> Param:
    """A parameter that names an index spec: Airflow offers the names there are, and takes JSON too."""
    return Param(
        "default",
        type="string",
        minLength=1,
        examples=index_spec_names(),
        description="Index spec: a file of include/index_specs, or a JSON object with what differs from the default",
    )
