"""Judge the answers of the running platform every night.

Runs a suite through the HTTP API and compares it with the suite's thresholds. Numbers and pictures go to MLflow. When
a threshold breaks, the task fails, once and for good, and the failure is told to whoever listens to
`QUARRY_FAILURE_WEBHOOK`.
"""

import shlex
import sys
from pathlib import Path

from airflow.sdk import Param, task
from quarry_dag import at, quarry_dag

from include.quarry.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=at("30 3 * * *"),
    tags=["evaluation"],
    params={"suite": Param("environment", type="string", minLength=1, description="Suite: a name or a folder")},
) as dag:

    @task.bash(cwd=str(ROOT), append_env=True, retries=0)
    def judge(suite: str) -> str:
        """The gate's exit code decides; a second try would only hide a broken threshold."""

        options = ["--suite", suite, "--url", load_settings().http_url]
        return shlex.join([sys.executable, "-m", "evaluation", "gate", *options])

    judge("{{ params.suite }}")
