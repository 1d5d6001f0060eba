"""Waits for a Ray job without a worker slot, and puts the job's lines into the task's log."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from ray_job_hook import RayJobHook

from include.quarry.errors import Unavailable

LOST, SILENT, LATE = "LOST", "SILENT", "LATE"
TAIL_LINES = 40
LONGEST_PAUSE_S = 30.0
LOG_BYTES_PER_S = 1_000_000


class RayJobTrigger(BaseTrigger):
    """Fires once, with `{submission_id, status, message, tail}`, when the job has ended or cannot be followed.

    `status` is Ray's own, or LOST (the cluster has forgotten the job), SILENT (no answer for `outage_s` seconds; the
    job may well be running) or LATE (`deadline`, in seconds since the epoch, has passed; the job was told to stop).
    Outages shorter than `outage_s` are waited out, with pauses that double up to 30 s.
    """

    def __init__(
        self,
        *,
        address: str,
        submission_id: str,
        poll_s: float = 1.0,
        outage_s: float = 300.0,
        deadline: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.address = address
        self.submission_id = submission_id
        self.poll_s = poll_s
        self.outage_s = outage_s
        self.deadline = deadline
        self._hook = RayJobHook(address)
        self._lines: list[str] = []

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kept = ("address", "submission_id", "poll_s", "outage_s", "deadline")
        return "ray_job_trigger.RayJobTrigger", {name: getattr(self, name) for name in kept}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        status, message = await self._follow()
        tail = "\n".join(self._lines[-TAIL_LINES:])
        event = {"submission_id": self.submission_id, "status": status, "message": message, "tail": tail}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A user has cleared or ended the waiting task: the job must not go on without it."""
        await asyncio.to_thread(self._hook.stop, self.submission_id)

    async def _follow(self) -> tuple[str, str]:
        """Poll until there is something to tell: a status and a message."""
        pause_s, heard_at = self.poll_s, time.monotonic()
        while True:
            try:
                job = await asyncio.to_thread(self._hook.find, self.submission_id)
            except Unavailable as error:
                if time.monotonic() - heard_at >= self.outage_s:
                    return SILENT, str(error)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                self.log.warning("%s Trying again in %.1f s.", error, pause_s)
            else:
                if job is None:
                    return LOST, "Ray does not know the job any more; its head has been restarted"
                log_bytes = await self._print_new_lines(whole=job.finished)
                if job.finished:
                    return job.status, job.message
                if self.deadline is not None and time.time() > self.deadline:
                    await asyncio.to_thread(self._hook.stop, self.submission_id)
                    return LATE, "the task's execution_timeout has passed; the job was told to stop"
                # Ray has no way to ask for the end of a log only, so a long one is fetched less often.
                pause_s, heard_at = max(self.poll_s, log_bytes / LOG_BYTES_PER_S), time.monotonic()
            await asyncio.sleep(pause_s)

    async def _print_new_lines(self, *, whole: bool) -> int:
        """Log what the job has printed since the last look, a half line only at its end; the log's size in bytes."""
        text = ""
        with suppress(Unavailable):  # the job's node may be gone while its status is still known
            text = await asyncio.to_thread(self._hook.logs, self.submission_id)
        lines = text.splitlines()
        if lines and not whole and not text.endswith("\n"):
            lines.pop()
        for line in lines[len(self._lines) :]:
            self.log.info("%s", line)
        self._lines = max(lines, self._lines, key=len)
        return len(text)
