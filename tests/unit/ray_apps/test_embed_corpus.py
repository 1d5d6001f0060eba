"""Which spec an embedding job works with: the one that answers for the corpus, unless another is asked for."""

from functools import partial
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import accept_upsert
from include.quarry.catalog.routes import make_live
from include.quarry.catalog.versions import create_version, record_snapshot
from include.quarry.records import DocumentKey
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec, EmbeddingSpec, IndexSpec
from ray_apps.jobs import embed_corpus
from tests.unit.catalog.test_log import prepared

LIVE = IndexSpec(chunker=ChunkerSpec(max_tokens=64), embedding=EmbeddingSpec(dtype="fp32"))
Ran = dict[str, tuple[IndexSpec, IndexSpec]]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The spec of each corpus that the job ran for, and the spec of the engine it would make there."""
    settings, found = Settings(home=tmp_path, embedding_dtype="bf16", _env_file=None), Ran()

    def run(job: embed_corpus.EmbedCorpus, _: Settings, spec: IndexSpec, make_embedder: partial[object]) -> int:
        found[job.corpus] = spec, make_embedder.args[1]
        return 0

    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    with database.write() as connection:
        for corpus in ("main", "young"):
            accept_upsert(connection, prepared(key=DocumentKey(corpus, "default", "a")), "http")
        create_version(connection, "v1", "main", LIVE)
        record_snapshot(connection, "v1", "/snapshot", 1, 1)
        make_live(connection, "v1")
    database.close()
    monkeypatch.setattr(embed_corpus, "load_settings", lambda: settings)
    monkeypatch.setattr(embed_corpus, "run", run)
    monkeypatch.setattr(embed_corpus.ray, "init", lambda **_: None)
    return found


def embed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["embed_corpus", *words])
    embed_corpus.main()


@pytest.mark.parametrize("words", [(), ("--spec", "live")])
def test_a_corpus_is_embedded_for_the_version_that_is_live(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    embed(monkeypatch, "--corpus", "*", *words)
    default = IndexSpec(embedding=EmbeddingSpec(dtype="bf16"))
    assert ran == {"main": (LIVE, LIVE), "young": (default, default)}


def test_a_spec_that_is_asked_for_is_used_whatever_is_live(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = IndexSpec(embedding=EmbeddingSpec(dtype="int8"))
    embed(monkeypatch, "--corpus", "main", "--spec", asked.to_json())
    assert ran == {"main": (asked, asked)}
