"""The skeleton that all of Quarry's Dags share, so that a Dag file holds only what is its own."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, Context, CronTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from failure_notice import notify_failure

from include.quarry.errors import Conflict
from include.quarry.index_specs import index_spec_names

CATALOG = Asset("quarry://catalog")
LAKE = Asset("quarry://lake")  # this one and the next carry a corpus as the event's partition key
DRIFT = Asset("quarry://drift")
ROOT = Path(__file__).resolve().parent.parent

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


def quarry_dag(
    file: str,
    *,
    doc: str | None,
    schedule: Any,
    tags: Sequence[str],
    params: Mapping[str, Any],
    max_active_runs: int = 1,
    pre_execute: Callable[[Context], None] | None = None,
) -> DAG:
    """A Dag named after its file and explained by its docstring.

    One run at a time, unless the Dag knows better, and no catching up: a run looks at what is pending, so a missed one
    loses nothing. There is no start date, because a backfill may reach back as far as it likes. Tasks are tried three
    times, end after two hours, and tell people when they have failed for good. `pre_execute` goes before each of them.
    """
    return DAG(
        dag_id=Path(file).stem,
        doc_md=doc,
        description=(doc or "").strip().partition("\n")[0],
        schedule=schedule,
        catchup=False,
        max_active_runs=max_active_runs,
        is_paused_upon_creation=False,
        params=dict(params),
        tags={"quarry", *tags},
        user_defined_filters={"quote": shlex.quote, "digest": digest},
        default_args={
            "owner": "quarry",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(hours=2),
            "on_failure_callback": notify_failure,
            "pre_execute": pre_execute,
        },
    )


def digest(run_id: str) -> str:
    """Twelve hex digits that stand for a run."""
    return sha256(run_id.encode()).hexdigest()[:12]


def at(cron: str) -> CronTriggerTimetable:
    """Run at these times, UTC, and never at once for a time that has passed before the Dag was known."""
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))


def span(*, days: int) -> tuple[str, str]:
    """When the time that a run looks at begins, and when it ends, as templates.

    By the calendar, and in a backfill, it is the run's interval; by hand the last `days`.
    """
    by_calendar = "dag_run.run_type in ('scheduled', 'backfill')"
    begin = f"data_interval_start if {by_calendar} else dag_run.run_after - macros.timedelta(days={days})"
    end = f"data_interval_end if {by_calendar} else dag_run.run_after"
    return f"{{{{ ({begin}).isoformat() }}}}", f"{{{{ ({end}).isoformat() }}}}"


def name_param(default: str, description: str) -> Param:
    """A parameter that names something: small letters, digits, dot, dash and underscore."""
    return Param(default, type="string", pattern=NAME, description=description)


def spec_param() -> Param:
    """A parameter that names an index spec: Airflow offers the names there are, and takes JSON too."""
    return Param(
        "live",
        type="string",
        minLength=1,
        examples=["live", *index_spec_names()],
        description="Index spec: `live` for the one that answers now, a file of include/index_specs, or a JSON object",
    )


def suite_param(description: str, *more: str) -> Param:
    """A parameter that names a suite: `auto`, a shipped one, a folder, or one of `more`.

    A mistyped name would else come out when all that is to be judged has been built.
    """
    names = ["auto", *sorted(path.name for path in (ROOT / "evaluation/suites").iterdir() if path.is_dir())]
    allowed = [{"enum": [*names, *more]}, {"pattern": "/"}]
    return Param("auto", type="string", anyOf=allowed, examples=names, description=description)


def job(name: str, *options: Any) -> list[Any]:
    """The command that is one of `ray_apps/jobs`, in words as `RayJobOperator` takes them."""
    return ["python", "-m", f"ray_apps.jobs.{name}", *options]


@contextmanager
def final() -> Iterator[None]:
    """Verdicts are not asked for twice: what was refused fails the task for good."""
    try:
        yield
    except Conflict as error:
        raise AirflowFailException(str(error)) from error


def run_to_the_end(module: str, *options: str) -> None:
    """Run `python -m module` from the repository, its lines in the task's log.

    A verdict (a last line of JSON that has an `outcome` and no error) that is no pass fails the task for good; any
    other failure may pass, and is tried again.
    """
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        last = ""
        try:
            for line in running.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() or last
        except BaseException:  # a task that is stopped leaves nothing behind
            running.terminate()
            raise
    if running.returncode:
        failure = AirflowFailException if _is_verdict(last) else AirflowException
        raise failure(f"{module} {options[0]} ended with {running.returncode}: {last}")


def _is_verdict(line: str) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return False
    grounds = {reason.get("ground") for reason in said.get("reasons", ())} if isinstance(said, dict) else {"error"}
    return "error" not in grounds and "outcome" in said
