"""The command line end to end, against a gateway that answers from a table."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evaluation.command import main
from include.quarry.catalog.database import migrate
from include.quarry.settings import load_settings

ANSWERS = {"first": ["a"], "second": ["x", "b"]}
CARD = "name: small\nmin_judged_queries: 2\nthresholds:\n  at_least: {ndcg@10: %s}\n"


class Gateway(BaseHTTPRequestHandler):
    """Answers `POST /v1/retrieve`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        docs = ANSWERS.get(body["query"], [])
        hits = [{"doc_id": doc, "score": 1 / (rank + 1)} for rank, doc in enumerate(docs)]
        answer = json.dumps({"hits": hits, "index_version": "v1", "watermark": 3, "timings_ms": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tokens are signed with a secret in a home of the test's own."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()  # a process reads them once
    yield
    load_settings.cache_clear()


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def empty_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    monkeypatch.setenv("QUARRY_DATABASE_URL", url)
    migrate(url)
    load_settings.cache_clear()  # a process reads them once
    yield
    load_settings.cache_clear()


def test_run_prints_the_measures_and_writes_record_and_picture(
    url: str, write_suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, picture = tmp_path / "run.json", tmp_path / "run.png"
    folder = write_suite(card=CARD % 0.5)
    options = ["--suite", str(folder), "--url", url, "--no-track", "--connections", "2"]
    assert main(["run", *options, "--json", str(record), "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    for label in ("nDCG@10", "P@5", "Recall@10", "Recall@100", "MRR@10", "p50 latency", "p99 latency", "verdict: pass"):
        assert label in printed
    assert json.loads(record.read_text())["metrics"]["mrr@10"] == pytest.approx(0.75)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_gate_runs_the_suite_and_exits_by_its_verdict(
    url: str, write_suite, capsys: pytest.CaptureFixture[str]
) -> None:
    for floor, exit_code, word in ((0.5, 0, "pass"), (0.99, 1, "fail")):
        options = ["--suite", str(write_suite(card=CARD % floor)), "--url", url, "--no-track"]
        assert main(["gate", *options]) == exit_code
        assert f"verdict: {word}" in capsys.readouterr().out


def test_the_last_line_of_the_gate_is_its_verdict_as_json(
    url: str, write_suite, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--suite", str(write_suite(card=CARD % 0.99)), "--url", url, "--no-track"]
    assert main(["gate", *options]) == 1
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (verdict["outcome"], verdict["reasons"][0]["ground"]) == ("fail", "threshold")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--candidate", "nothing"], "nothing"),
        (["--candidate", "new", "--baseline", "a.json"], "two index versions"),
    ],
)
def test_a_candidate_that_cannot_be_judged_is_undecided_on_the_last_line_too(
    write_suite, empty_catalog: None, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["gate", "--suite", str(write_suite(card=CARD % 0.5)), "--no-track", *options]) == 2
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (verdict["outcome"], verdict["reasons"][0]["ground"]) == ("undecided", "error")
    assert words in verdict["reasons"][0]["text"]


def test_gate_judges_a_record_by_its_own_thresholds_or_by_those_of_a_suite(
    make_record, write_suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    make_record((1.0, 0.5)).write(path)
    assert main(["gate", str(path)]) == 2
    assert "no threshold" in capsys.readouterr().out
    assert main(["gate", str(path), "--suite", str(write_suite(card=CARD % 0.7))]) == 0
    assert main(["gate", str(path), "--suite", str(write_suite(card=CARD % 0.8))]) == 1


def test_compare_names_the_worst_query(make_record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_record((1.0, 0.5)).write(tmp_path / "a.json")
    make_record((0.0, 0.5)).write(tmp_path / "b.json")
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert "question 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--suite", "nowhere", "--no-track"], "nowhere"),
        (["run", "--suite", "{suite}", "--url", "http://127.0.0.1:9", "--no-track"], "does not answer"),
        (["run", "--suite", "{suite}", "--mlflow", "http://127.0.0.1:9"], "--no-track"),
        (["gate", "{suite}/gone.json"], "gone.json"),
    ],
    ids=["no suite", "no gateway", "no mlflow", "no record"],
)
def test_what_cannot_be_done_is_one_clear_line_and_exit_2(
    write_suite, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    folder = str(write_suite())
    assert main([argument.replace("{suite}", folder) for argument in arguments]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert words in line
