"""Judge the answers of the running platform every night.

Runs a suite through the HTTP API and compares it with the suite's thresholds. Numbers and pictures go to MLflow. When
a threshold breaks, the task fails, once and for good, and the failure is told to whoever listens to
`QUARRY_FAILURE_WEBHOOK`.

`suite` is a name or a folder, or `auto`, as every night: the suite that gates corpus `main`, asked of that corpus. The
one that ships with Quarry fits the default documents only; with your own (`QUARRY_DOCS`) name one in
`QUARRY_GATE_SUITE`, or the task is skipped.
"""

import shlex
import sys
from pathlib import Path

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from quarry_dag import at, quarry_dag, suite_param

from include.quarry.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=at("30 3 * * *"),
    tags=["evaluation"],
    params={"suite": suite_param("Suite: a name, a folder, or `auto`")},
) as dag:

    @task.bash(cwd=str(ROOT), append_env=True, retries=0)
    def judge(suite: str) -> str:
        """The gate's exit code decides; a second try would only hide a broken threshold."""

        settings = load_settings()
        options = ["--suite", suite]
        if suite == "auto":
            if not (own := settings.suite_of_gate("main")):
                raise AirflowSkipException("no suite judges corpus main; name one in QUARRY_GATE_SUITE")
            options = ["--suite", own, "--corpus", "main"]
        return shlex.join([sys.executable, "-m", "evaluation", "gate", *options, "--url", settings.http_url])

    judge("{{ params.suite }}")
