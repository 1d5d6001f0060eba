"""Ray's job server over plain HTTP, so that Airflow needs no Ray at all.

    POST /api/jobs/            submit; Ray refuses a `submission_id` that it knows already
    GET  /api/jobs/{id}        status, or 404
    GET  /api/jobs/{id}/logs   the whole log so far
    POST /api/jobs/{id}/stop   ask a running job to end

A submission id is therefore an idempotency key, and `submit` may be repeated without fear.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable

SUCCEEDED = "SUCCEEDED"
TERMINAL = frozenset({SUCCEEDED, "FAILED", "STOPPED"})


@dataclass(frozen=True, slots=True)
class RayJob:
    """What Ray says about a job. `status` is PENDING, RUNNING, or one of `TERMINAL`."""

    submission_id: str
    status: str
    message: str

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    @property
    def succeeded(self) -> bool:
        return self.status == SUCCEEDED


class RayJobHook:
    """A client of one Ray cluster's job server; threads may share it.

    `token` is the bearer token of a cluster with token authentication; by default it is looked up as Ray does. Every
    method raises `Unavailable` while the server does not answer, and `Misconfigured` when it wants another token.
    """

    def __init__(self, address: str, *, token: str | None = None, timeout_s: float = 10.0) -> None:
        token = find_token() if token is None else token
        self._client = httpx.Client(
            base_url=address,
            timeout=timeout_s,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            trust_env=False,  # a proxy for the outside world must not stand between Airflow and Ray
        )

    def submit(
        self,
        submission_id: str,
        entrypoint: str,
        *,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        num_cpus: float = 0,
        memory_bytes: int = 0,
    ) -> None:
        """Start a job unless this id exists; the shell command runs on the cluster with its environment.

        `num_cpus` and `memory_bytes` are reserved for the command itself, not for the work it hands to Ray.
        Raises `InvalidInput` when Ray refuses the request.
        """
        request = {
            "submission_id": submission_id,
            "entrypoint": entrypoint,
            "runtime_env": dict(runtime_env or {}),
            "metadata": dict(metadata or {}),
            "entrypoint_num_cpus": num_cpus,
            "entrypoint_memory": memory_bytes,
        }
        try:
            response = self._client.post("/api/jobs/", json=request)
        except httpx.TransportError as error:
            refusal: Exception = self._silence(error)
        else:
            if response.is_success:
                return
            _demand_access(response)
            kind = InvalidInput if response.is_client_error else Unavailable
            refusal = kind(f"Ray refused the job {submission_id!r} ({response.status_code}): {_last_line(response)}")
        # The answer may have been lost after the job was accepted, and a duplicate is refused with a plain 400 or 500.
        if self.find(submission_id) is None:
            raise refusal

    def find(self, submission_id: str) -> RayJob | None:
        """The job, or None when the cluster does not know it (it forgets all jobs when its head restarts)."""
        response = self._call("GET", f"/api/jobs/{submission_id}")
        if response is None:
            return None
        job = response.json()
        return RayJob(submission_id, job["status"], job.get("message") or "")

    def logs(self, submission_id: str) -> str:
        """All that the job has printed so far; empty for an unknown job."""
        response = self._call("GET", f"/api/jobs/{submission_id}/logs")
        return "" if response is None else str(response.json()["logs"])

    def stop(self, submission_id: str) -> bool:
        """Ask the job to end; False when it was not running."""
        response = self._call("POST", f"/api/jobs/{submission_id}/stop")
        return response is not None and bool(response.json()["stopped"])

    def _call(self, method: str, path: str) -> httpx.Response | None:
        """A successful response, or None for 404."""
        try:
            response = self._client.request(method, path)
        except httpx.TransportError as error:
            raise self._silence(error) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        _demand_access(response)
        if not response.is_success:
            raise Unavailable(f"Ray answered {method} {path} with {response.status_code}: {_last_line(response)}")
        return response

    def _silence(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"Ray's job server at {self._client.base_url} does not answer ({type(error).__name__}: {error}); "
            "is the cluster up, and is QUARRY_RAY_PORT its dashboard's port?"
        )


def find_token() -> str:
    """The token that Ray's own clients would send, or nothing.

    `ray start` turns authentication on by itself where it finds a token, even one that another cluster left in the
    home folder (ray/_private/authentication/authentication_token_setup.py), so the same places are looked at here.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return ""
    if token := os.environ.get("RAY_AUTH_TOKEN", ""):
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() if path.is_file() else ""


def _demand_access(response: httpx.Response) -> None:
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Misconfigured(
            f"Ray answered {response.status_code}: {_last_line(response)}; give Airflow and Ray the same "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or start both with RAY_AUTH_MODE=disabled"
        )


def _last_line(response: httpx.Response) -> str:
    """Ray's error bodies are Python tracebacks; the reason stands last."""
    return next(reversed(response.text.strip().splitlines()), "no reason given")
