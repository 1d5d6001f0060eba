"""From log and lake to a live version: complete, or not promoted."""

from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import find_version, record_snapshot
from include.quarry.errors import Conflict, IncompleteIndex
from include.quarry.records import DocumentKey, DocumentUpdate
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, unanswered_corpora
from include.quarry.routing.status import corpus_status
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec, IndexSpec
from tests.unit.routing.corpus import SPEC, Corpus


def test_a_version_holds_what_the_log_says_and_can_be_promoted(corpus: Corpus, routing_settings: Settings) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    corpus.delete("b")
    corpus.embed()
    assert unanswered_corpora(routing_settings) == ["main"]
    built = build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    proof = check_completeness("v1", routing_settings)
    assert (built["chunks"], proof["chunks"]) == (1, 1)
    assert proof["digest"] == proof["log_digest"]
    assert promote("v1", routing_settings)["live_version"] == "v1"
    assert unanswered_corpora(routing_settings) == []


def test_changes_made_after_the_build_count_in_the_proof(corpus: Corpus, routing_settings: Settings) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    corpus.delete("a")
    corpus.put("b", "Chalk is very soft.")
    corpus.put("c", "Slate splits.")
    corpus.embed()
    proof = check_completeness("v1", routing_settings)
    assert (proof["watermark"], proof["chunks"]) == (5, 2)


def test_a_version_is_not_built_while_texts_wait_for_vectors(corpus: Corpus, routing_settings: Settings) -> None:
    corpus.put("a", "Granite is hard.")
    with pytest.raises(IncompleteIndex, match="1 documents"):
        build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    with pytest.raises(Conflict, match="has no snapshot"):
        check_completeness("v1", routing_settings)
    with pytest.raises(Conflict, match="has no snapshot"):
        promote("v1", routing_settings)


@pytest.mark.parametrize("sabotage", ["lost", "resurrected"])
def test_a_snapshot_that_differs_from_the_log_is_refused(
    corpus: Corpus, routing_settings: Settings, database: Database, tmp_path: Path, sabotage: str
) -> None:
    """A snapshot that claims a watermark without having applied every change up to it."""
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    if sabotage == "resurrected":
        corpus.delete("b")
    with database.read() as connection:
        version = find_version(connection, "v1")
    index = Index.load(Path(version.snapshot), tmp_path / "scratch")
    if sabotage == "lost":
        index.apply([DocumentUpdate(99, DocumentKey("main", "default", "b"), 9)], index.watermark)
    index.apply([], watermark=99)
    index.save(tmp_path / "sabotaged")
    with database.write() as connection:
        record_snapshot(connection, "v1", str(tmp_path / "sabotaged"), 99, 2)
    with pytest.raises(IncompleteIndex, match="missing" if sabotage == "lost" else "in excess"):
        check_completeness("v1", routing_settings)


def test_building_again_continues_from_the_snapshot(
    corpus: Corpus, routing_settings: Settings, database: Database
) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    promote("v1", routing_settings)
    corpus.put("b", "Chalk is soft.")
    corpus.embed()
    built = build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    assert (built["watermark"], built["chunks"]) == (2, 2)
    with database.read() as connection:
        assert find_version(connection, "v1").state == "live"


def test_a_build_that_died_after_its_snapshot_can_be_repeated(
    corpus: Corpus, routing_settings: Settings, database: Database
) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings)
    with database.write() as connection:
        record_snapshot(connection, "v1", "", 0, 0)
    assert build_version("v1", "main", SPEC, routing_settings)["chunks"] == 1
    assert check_completeness("v1", routing_settings)["chunks"] == 1


def test_another_chunker_cuts_stored_documents_again(
    corpus: Corpus, routing_settings: Settings, database: Database
) -> None:
    text = " ".join(f"Sentence number {number} speaks of stones and of the quarry." for number in range(30))
    corpus.put("a", text)
    corpus.embed()
    small = IndexSpec(chunker=ChunkerSpec(max_tokens=64), embedding=SPEC.embedding)
    with pytest.raises(IncompleteIndex):
        build_version("small", "main", small, routing_settings, patience_s=0)
    assert build_version("v1", "main", SPEC, routing_settings)["chunks"] == 2
    with database.read() as connection:
        assert find_route(connection, "main") is None


def test_the_status_says_how_far_the_index_is_behind(corpus: Corpus, database: Database) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    status = corpus_status(database, "main", "default", watermark=1)
    assert (status["head"], status["documents"], status["lag_changes"]) == (2, 2, 1)
    assert status["lag_seconds"] > 0
    assert corpus_status(database, "main", "default", watermark=2)["lag_seconds"] == 0
