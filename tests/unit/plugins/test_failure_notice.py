import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from failure_notice import notify_failure

from include.quarry.settings import load_settings

CONTEXT: dict[str, Any] = {
    "ti": SimpleNamespace(
        dag_id="evaluate_relevance", task_id="judge", run_id="r1", try_number=1, log_url="http://airflow/log"
    ),
    "exception": RuntimeError("nDCG@10 is .21, below .30"),
}


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """What a webhook on a real socket was sent; `QUARRY_FAILURE_WEBHOOK` points at it."""
    bodies: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("QUARRY_FAILURE_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    load_settings.cache_clear()
    yield bodies
    server.shutdown()
    server.server_close()
    load_settings.cache_clear()


def test_the_webhook_hears_what_failed_and_why(received: list[dict[str, str]]) -> None:
    notify_failure(CONTEXT)  # type: ignore[arg-type]
    (notice,) = received
    assert notice["text"] == "evaluate_relevance.judge failed in r1: nDCG@10 is .21, below .30"
    assert notice["log_url"] == "http://airflow/log"


@pytest.mark.parametrize(
    "webhook",
    [
        "http://127.0.0.1:1/services/T0/hush-hush",
        "http://127.0.0.1:port/services/T0/hush-hush",
        "no-scheme/services/T0/hush-hush",
        "http://[half/services/T0/hush-hush",
    ],
)
def test_a_webhook_that_cannot_be_reached_stays_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], webhook: str
) -> None:
    monkeypatch.setenv("QUARRY_FAILURE_WEBHOOK", webhook)
    load_settings.cache_clear()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # whatever Airflow has made of it
    notify_failure(CONTEXT)  # type: ignore[arg-type]
    load_settings.cache_clear()
    assert "did not reach the webhook" in caplog.text
    assert "hush" not in caplog.text + "".join(capfd.readouterr())


def test_a_webhook_that_is_reached_stays_secret(
    received: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # whatever Airflow has made of it
    notify_failure(CONTEXT)  # type: ignore[arg-type]
    assert received
    assert "/hook" not in caplog.text


def test_a_deaf_webhook_does_not_hide_the_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QUARRY_FAILURE_WEBHOOK", "http://127.0.0.1:1/hook")
    load_settings.cache_clear()
    notify_failure(CONTEXT)  # type: ignore[arg-type]
    load_settings.cache_clear()
    assert [record.levelno for record in caplog.records if record.name == "failure_notice"] == [
        logging.ERROR,
        logging.WARNING,
    ]
    assert "nDCG@10 is .21" in caplog.text
