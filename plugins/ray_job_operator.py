"""A task that runs a command as a Ray job: started once, followed without a worker slot, stopped with the task.

The submission id decides what a try of the task does. It is made of the Dag run, the task, the map index and the
task's `max_tries`, which Airflow keeps through retries and raises when someone clears the task; so

- a retry finds the job of the try before it: still going, it follows it; failed or stopped, it starts the next
  attempt; succeeded (the worker died before it could say so), there is nothing left to do;
- a cleared task finds nothing, and runs again. Clearing a task means "do it again", and Quarry's jobs are idempotent.

Ray itself is asked what exists. Airflow's `ResumableJobMixin` keeps the id in Airflow's database instead, which leaves
a gap between submitting and remembering, holds a worker while it waits, and takes a cleared task for done.
"""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout, TaskDeferred
from ray_job_hook import SUCCEEDED, RayJob, RayJobHook
from ray_job_pool import RAY_JOBS
from ray_job_trigger import LATE, TAIL_LINES, RayJobTrigger

from include.quarry.settings import load_settings


class RayJobOperator(BaseOperator):
    """Run `entrypoint` on the Ray cluster at `address` (by default the one of the settings).

    It is a shell command, in which what users may choose is quoted: `--corpus {{ params.corpus | quote }}`; or it is
    the list of its words, which need no quotes and may come from other tasks. The job's lines appear in the task's log,
    and a failure raises with the last of them. `execution_timeout` counts the waiting too, and stops the job. The task
    returns the submission id.
    """

    template_fields: Sequence[str] = ("entrypoint", "runtime_env")
    template_fields_renderers: ClassVar[dict[str, str]] = {"entrypoint": "bash", "runtime_env": "json"}
    ui_color = "#d5e8f7"

    def __init__(
        self,
        *,
        entrypoint: str | Sequence[Any],
        runtime_env: Mapping[str, Any] | None = None,
        num_cpus: float = 0,
        memory_bytes: int = 0,
        address: str | None = None,
        poll_s: float = 1.0,
        outage_s: float = 300.0,
        pool: str = RAY_JOBS,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool, **kwargs)
        self.entrypoint = entrypoint
        self.runtime_env = runtime_env
        self.num_cpus = num_cpus
        self.memory_bytes = memory_bytes
        self.address = address
        self.poll_s = poll_s
        self.outage_s = outage_s
        self._job_in_hand: tuple[RayJobHook, str] | None = None

    def execute(self, context: Context) -> str:
        address = self.address or load_settings().ray_url
        hook = RayJobHook(address)
        job = self._latest_attempt(hook, context)
        self._job_in_hand = hook, job.submission_id
        if job.succeeded:
            self.log.info("Ray job %s has succeeded already", job.submission_id)
            return job.submission_id
        raise TaskDeferred(
            trigger=RayJobTrigger(
                address=address,
                submission_id=job.submission_id,
                poll_s=self.poll_s,
                outage_s=self.outage_s,
                deadline=time.time() + self.execution_timeout.total_seconds() if self.execution_timeout else None,
            ),
            method_name="conclude",
        )

    def conclude(self, context: Context, event: Mapping[str, str]) -> str:
        """Turn the trigger's event into success, or into an error that shows the end of the job's log."""
        submission_id, status = event["submission_id"], event["status"]
        if status == SUCCEEDED:
            return submission_id
        reason, tail = event["message"], event["tail"]
        if tail:  # Ray repeats the log after the first line of its message
            reason = f"{reason.partition(chr(10))[0]}\nlast {TAIL_LINES} lines of its log:\n{tail}"
        error = AirflowTaskTimeout if status == LATE else AirflowException
        raise error(f"Ray job {submission_id} is {status}: {reason}")

    def on_kill(self) -> None:
        """Stop the job when the task is killed on its worker; the trigger does it while the task waits."""
        if self._job_in_hand is not None:
            hook, submission_id = self._job_in_hand
            hook.stop(submission_id)

    def _latest_attempt(self, hook: RayJobHook, context: Context) -> RayJob:
        """The attempt that counts: the last one, or a new one where it has failed, been stopped, or never been."""
        ti = context["ti"]
        identity = {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "map_index": str(ti.map_index),
            "max_tries": str(ti.max_tries),
        }
        stem, number = name_job(identity), 1
        while (job := hook.find(f"{stem}.{number}")) is not None:
            if not job.finished or job.succeeded:
                self.log.info("Ray job %s is %s: following it", job.submission_id, job.status)
                return job
            self.log.info("Ray job %s is %s: a new attempt is due", job.submission_id, job.status)
            number += 1
        submission_id = f"{stem}.{number}"
        self._job_in_hand = hook, submission_id  # a kill during the submission must stop it, too
        hook.submit(
            submission_id,
            self.entrypoint if isinstance(self.entrypoint, str) else shlex.join(self.entrypoint),
            runtime_env=self.runtime_env,
            metadata=identity,
            num_cpus=self.num_cpus,
            memory_bytes=self.memory_bytes,
        )
        self.log.info("Submitted Ray job %s: %s", submission_id, self.entrypoint)
        return RayJob(submission_id, "PENDING", "")


def name_job(identity: Mapping[str, str]) -> str:
    """A stem for submission ids: readable, and short enough for the file name that Ray makes of it."""
    digest = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return f"{identity['dag_id'][:80]}.{identity['task_id'][:80]}.{digest}"
