"""The gate of a candidate from its name to a verdict, on a small corpus with real stores and a cheap embedder."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evaluation.freshness import hash_query
from evaluation.gate_candidate import GateOptions, gate_version
from evaluation.gate_record import GateRecord
from evaluation.judgments import Suite, load_suite
from evaluation.picture import draw_differences
from evaluation.tracking import GATE_EXPERIMENT, connect, log_gate
from evaluation.trial import AskOptions
from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Conflict, InvalidInput, NotFound, Unavailable
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder

TEXTS = {"a": "Granite is hard.", "b": "Chalk is soft.", "c": "Slate splits well."}
# Nine answers of a millisecond say nothing about speed: what else the machine does would decide.
CARD = """corpus: main
min_judged_queries: 3
thresholds: {at_least: {ndcg@10: 0.5}}
gate: {latency_slack_ms: 60000}
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    settings = Settings(home=tmp_path / "home", _env_file=None)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    corpus = Corpus(database, settings)
    for doc_id, text in TEXTS.items():
        corpus.put(doc_id, text)
    corpus.embed()
    for version_id in ("live", "new"):
        build_version(version_id, "main", SPEC, settings, patience_s=0)
    promote("live", settings)
    yield corpus
    database.close()


@pytest.fixture
def suite(write_suite) -> Suite:
    queries = [{"_id": f"q-{doc}", "text": text.split()[0]} for doc, text in TEXTS.items()]
    return load_suite(
        str(write_suite(queries=queries, qrels="".join(f"q-{doc}\t{doc}\t1\n" for doc in TEXTS), card=CARD))
    )


def gate(corpus: Corpus, suite: Suite, version_id: str = "new", **options) -> GateRecord:
    how = GateOptions(**({"patience_s": 0} | options))
    return gate_version(version_id, suite, corpus.settings, how, lambda _spec: HashEmbedder())


def test_an_honest_rebuild_passes_with_its_proofs_and_numbers(corpus: Corpus, suite: Suite) -> None:
    record = gate(corpus, suite)
    assert record.outcome == "pass", record.reasons
    assert (record.candidate, record.against, record.corpus) == ("new", "live", "main")
    assert record.facts["completeness.chunks"] == record.facts["passages.compared"] == record.facts["vectors.sampled"]
    assert record.facts["vectors.lowest_cosine"] == pytest.approx(1)
    assert record.comparison is not None
    assert (record.comparison.mean, len(record.comparison.changes)) == (0, 3)
    assert {check.measure for check in record.checks} >= {"ndcg@10", "snapshot, MB", "p50 latency, ms"}


def test_a_summary_fits_on_one_line(corpus: Corpus, suite: Suite) -> None:
    line = json.dumps(gate(corpus, suite).summary)
    assert "\n" not in line
    assert "q-a" not in line
    assert json.loads(line)["outcome"] == "pass"


def test_a_suite_that_the_candidate_has_seen_or_that_is_older_than_the_corpus_is_doubted(
    corpus: Corpus, suite: Suite, tmp_path: Path
) -> None:
    path = tmp_path / "trained.json"
    path.write_text(json.dumps({"trained_on": [hash_query("granite")]}))
    record = gate(corpus, suite, trained_on=path)
    assert (record.outcome, record.reasons[0].ground, record.comparison) == ("undecided", "doubt", None)
    assert "tuned on" in record.reasons[0].text
    corpus.delete("a")
    assert "older than the corpus" in gate(corpus, suite).reasons[0].text


def test_a_faulty_candidate_is_refused_without_being_asked(corpus: Corpus, suite: Suite) -> None:
    corpus.put("d", "Marble gleams.")
    record = gate(corpus, suite)
    assert (record.outcome, record.reasons[0].ground, record.live_run) == ("fail", "completeness", None)
    assert "1 changes behind the head of the log, and cannot follow" in record.reasons[0].text


def test_only_two_built_versions_of_one_corpus_are_compared(corpus: Corpus, suite: Suite) -> None:
    with pytest.raises(NotFound, match="nothing"):
        gate(corpus, suite, "nothing")
    with pytest.raises(InvalidInput, match="another version"):
        gate(corpus, suite, "live")
    assert gate(corpus, suite, "live", against="new").outcome == "pass"
    with corpus.database.write() as connection:
        from include.quarry.catalog.versions import forget_snapshot

        forget_snapshot(connection, "new")
    with pytest.raises(Conflict, match="no snapshot"):
        gate(corpus, suite)


class Gateway(BaseHTTPRequestHandler):
    """Answers for the versions it is told to hold; a version may find nothing."""

    protocol_version = "HTTP/1.1"
    finds: Mapping[str, bool] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        version_id = body["index_version"]
        found = [doc for doc, text in TEXTS.items() if body["query"] in text and self.finds.get(version_id)]
        hits = [{"doc_id": doc, "score": 1.0} for doc in found]
        answer = json.dumps({"hits": hits, "index_version": version_id, "watermark": 3}).encode()
        self.send_response(200 if version_id in self.finds else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None: ...


@contextmanager
def gateway(finds: Mapping[str, bool]) -> Iterator[AskOptions]:
    handler = type("Handler", (Gateway,), {"finds": finds})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield AskOptions(url=f"http://127.0.0.1:{server.server_port}", in_process=False)
        server.shutdown()


def test_over_http_both_versions_are_asked_by_name(corpus: Corpus, suite: Suite) -> None:
    with gateway({"live": True, "new": True}) as asking:
        record = gate(corpus, suite, asking=asking)
    assert record.outcome == "pass", record.reasons
    assert record.live_run.driver == "http"
    with gateway({"live": True, "new": False}) as asking:
        record = gate(corpus, suite, asking=asking)
    assert (record.outcome, {reason.ground for reason in record.reasons}) == ("fail", {"relevance", "threshold"})
    assert [change.query_id for change in record.comparison.worst] == ["q-a", "q-b", "q-c"]


def test_over_http_a_version_that_no_replica_holds_is_an_error(corpus: Corpus, suite: Suite) -> None:
    with gateway({"live": True}) as asking, pytest.raises(NotFound, match="404"):
        gate(corpus, suite, asking=asking)


def test_over_http_nothing_answers_is_an_error(corpus: Corpus, suite: Suite) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        gate(corpus, suite, asking=AskOptions(url="http://127.0.0.1:9", in_process=False))


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    client = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment(GATE_EXPERIMENT, artifact_location=str(tmp_path / "artifacts"))
    return client


def test_a_verdict_is_kept_with_every_difference(
    corpus: Corpus, suite: Suite, client: MlflowClient, tmp_path: Path
) -> None:
    record = gate(corpus, suite)
    assert record.comparison is not None
    lost = record.comparison.changes[0].model_copy(update={"candidate": 0.0})
    comparison = record.comparison.model_copy(update={"changes": (lost, *record.comparison.changes[1:])})
    run_id = log_gate(client, record.model_copy(update={"comparison": comparison}))
    run = client.get_run(run_id)
    assert (run.data.tags["verdict"], run.data.tags["index_version"], run.data.tags["against"]) == (
        "pass",
        "new",
        "live",
    )
    assert run.data.metrics["change.mean"] == 0
    assert run.data.metrics["candidate.ndcg_at_10"] == record.candidate_run.metrics["ndcg@10"]
    kept = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert kept == {"gate.json", "differences.json", "worst.json", "differences.png"}
    worst = json.loads(Path(client.download_artifacts(run_id, "worst.json", str(tmp_path))).read_text())
    assert worst["data"][0][0] == lost.query_id
    assert len(draw_differences(record, comparison).axes) == 2


def test_a_refusal_without_questions_is_kept_too(corpus: Corpus, suite: Suite, client: MlflowClient) -> None:
    corpus.put("d", "Marble gleams.")
    run_id = log_gate(client, gate(corpus, suite))
    assert client.get_run(run_id).data.tags["verdict.grounds"] == "completeness"
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == {"gate.json"}
