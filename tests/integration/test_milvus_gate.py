"""The gate of a candidate on a Milvus server, while documents change and other replicas write what has changed to the
collection that the gate is reading.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from evaluation.gate_candidate import GateOptions, gate_version
from evaluation.gate_record import GateRecord
from evaluation.judgments import load_suite
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.versions import find_version
from include.quarry.records import Vectors
from include.quarry.retrieval.sharded import load_index
from include.quarry.routing import completeness
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.follower import Follower
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from include.quarry.specs import StoreSpec
from tests.servers.milvus import milvus
from tests.unit.routing.corpus import SPEC, Corpus

pytestmark = pytest.mark.integration

_ON_MILVUS = replace(SPEC, store=StoreSpec(adapter="milvus", kind="flat"))
_DOCUMENTS = 24
_EVERY = 15
_CARD = """\
corpus: main
min_judged_queries: 20
thresholds: {at_least: {ndcg@10: 0.9}}
gate: {rounds: 2, max_stale_share: 1.0, max_p50_ratio: 10000, max_p95_ratio: 10000, max_size_ratio: 10}
"""


class Numbers:
    """Texts of one number are near each other, and nothing else is."""

    spec = SPEC.embedding

    def encode(self, texts: Sequence[str]) -> Vectors:
        seeds = [sha256(re.findall(r"\d+", text)[0].encode()).digest() for text in texts]
        rows = np.array([np.frombuffer(seed, np.uint32) for seed in seeds], np.float64) - 2**31
        values = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return Vectors(self.spec.fingerprint, values)


class Moving(Numbers):
    """Whoever encodes anything finds some documents changed, and a replica that has followed them, when he goes on."""

    def __init__(self, corpus: Corpus, settings: Settings, version_id: str, scratch: Path) -> None:
        with corpus.database.read() as connection:
            version = find_version(connection, version_id)
        scratch.mkdir()
        index = load_index(Path(version.snapshot), scratch, servers=settings.store_servers)
        self._replica = Follower(corpus.database, corpus.lake, index, "main")
        self._corpus = corpus
        self._turn = 0

    def encode(self, texts: Sequence[str]) -> Vectors:
        self._turn += 1
        if self._turn % _EVERY == 1:
            self.change()
        return super().encode(texts)

    def change(self) -> None:
        number = self._turn * 7 % _DOCUMENTS
        self._corpus.put(f"d{number}", f"Stone {number}, polished in turn {self._turn}.")
        self._corpus.embed(Numbers())
        self._replica.step()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with milvus(tmp_path_factory.mktemp("milvus")) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Settings:
    return Settings(home=tmp_path / "home", milvus_url=url, store_timeout_s=60)


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    settings.home.mkdir()
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    corpus = Corpus(database, settings)
    for number in range(_DOCUMENTS):
        corpus.put(f"d{number}", f"Stone {number}, rough.")
    corpus.embed(Numbers())
    yield corpus
    database.close()


@pytest.fixture
def candidate(corpus: Corpus, settings: Settings) -> str:
    """Its own name, since the server may outlive the tests."""
    version_id = f"v-{uuid4().hex[:12]}"
    build_version("live", "main", SPEC, settings)
    promote("live", settings)
    build_version(version_id, "main", _ON_MILVUS, settings)
    return version_id


def gate(settings: Settings, candidate: str, embedder: Numbers, folder: Path) -> GateRecord:
    (folder / "suite" / "qrels").mkdir(parents=True)
    (folder / "suite" / "queries.jsonl").write_text(
        "".join(f'{{"_id": "q{number}", "text": "q{number}"}}\n' for number in range(_DOCUMENTS))
    )
    judged = "".join(f"q{number}\td{number}\t1\n" for number in range(_DOCUMENTS))
    (folder / "suite" / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    (folder / "suite" / "suite.yaml").write_text(_CARD)
    suite = load_suite(str(folder / "suite"))
    return gate_version(candidate, suite, settings, GateOptions(patience_s=20), lambda _spec: embedder)


def test_an_honest_candidate_on_a_server_passes_though_documents_change_before_and_while_it_is_asked(
    corpus: Corpus, settings: Settings, candidate: str, tmp_path: Path
) -> None:
    moving = Moving(corpus, settings, candidate, tmp_path / "replica")
    for _ in range(8 * _EVERY):
        moving.encode(["0"])
    record = gate(settings, candidate, moving, tmp_path)
    assert record.outcome == "pass", record.reasons
    assert record.comparison is not None
    assert record.comparison.mean == 0


def test_a_candidate_is_proven_though_a_replica_is_ahead_when_its_contents_are_compared(
    corpus: Corpus, settings: Settings, candidate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving, expected = Moving(corpus, settings, candidate, tmp_path / "replica"), completeness.expected_contents

    def then_comes_a_change(*asked):  # type: ignore[no-untyped-def]
        contents = expected(*asked)
        moving.change()
        return contents

    monkeypatch.setattr(completeness, "expected_contents", then_comes_a_change)
    proof = check_completeness(candidate, settings)
    assert proof["digest"] == proof["log_digest"]
