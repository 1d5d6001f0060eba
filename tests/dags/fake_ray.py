"""Ray's job server on a real socket, with jobs that end as the test says.

It answers as Ray 2.60 does: 404 for an unknown job, 400 with a traceback for a submission id that exists.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class FakeJob:
    submission_id: str
    entrypoint: str
    request: dict[str, Any]
    status: str = "PENDING"
    message: str = ""
    logs: str = ""


def succeed(job: FakeJob) -> None:
    job.status, job.logs = "SUCCEEDED", "did the work\n"


@dataclass
class FakeRay:
    """`on_submit` sees each new job; `answer_next` is a queue of statuses (0: hang up) to answer with instead."""

    on_submit: Callable[[FakeJob], None] = succeed
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    answer_next: list[int] = field(default_factory=list)
    lose_next_answer_to_submit: bool = False
    seen: list[str] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"ray": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, submission_id: str, status: str, logs: str = "", message: str = "") -> FakeJob:
        self.jobs[submission_id] = FakeJob(submission_id, "echo", {}, status, message, logs)
        return self.jobs[submission_id]

    def wait_for(self, request: str, times: int = 1) -> None:
        """Block until a request such as `GET /logs` has come in that often."""
        with self.heard:
            assert self.heard.wait_for(lambda: self.seen.count(request) >= times, timeout=10), self.seen


class _Handler(BaseHTTPRequestHandler):
    ray: FakeRay

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, _, submission_id, *rest = [*self.path.split("/"), ""]
        verb = f"{self.command} /{rest[0]}" if submission_id else "SUBMIT"
        try:
            if self.ray.answer_next:
                self._answer(self.ray.answer_next.pop(0), "Traceback\nRuntimeError: not now")
            elif verb == "SUBMIT":
                self._submit(json.loads(body))
            elif submission_id not in self.ray.jobs:
                self._answer(404, f"Job {submission_id} does not exist")
            else:
                self._answer(200, self._about(self.ray.jobs[submission_id], verb))
        finally:
            with self.ray.heard:
                self.ray.seen.append(verb)
                self.ray.heard.notify_all()

    def _submit(self, request: dict[str, Any]) -> None:
        submission_id = request["submission_id"]
        if submission_id in self.ray.jobs:
            self._answer(400, f"Traceback\nValueError: Job with submission_id {submission_id} already exists.")
            return
        job = self.ray.jobs[submission_id] = FakeJob(submission_id, request["entrypoint"], request)
        self.ray.on_submit(job)
        lost, self.ray.lose_next_answer_to_submit = self.ray.lose_next_answer_to_submit, False
        self._answer(0 if lost else 200, {"job_id": submission_id, "submission_id": submission_id})

    def _about(self, job: FakeJob, verb: str) -> dict[str, Any]:
        if verb == "GET /logs":
            return {"logs": job.logs}
        if verb == "POST /stop":
            going = job.status in ("PENDING", "RUNNING")
            job.status = "STOPPED" if going else job.status
            return {"stopped": going}
        return {"submission_id": job.submission_id, "status": job.status, "message": job.message, "type": "SUBMISSION"}

    def _answer(self, status: int, body: Any) -> None:
        if status == 0:
            self.close_connection = True
            return
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
