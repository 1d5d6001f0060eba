"""A corpus that keeps changing while a version of it is built and proven."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.versions import create_version, find_version, record_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.records import DocumentKey, DocumentUpdate
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.follower import Follower
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus

_PATIENCE_S = 20.0


@contextmanager
def changing(corpus: Corpus) -> Iterator[Callable[[int], None]]:
    """Another thread changes, embeds and deletes documents without a pause; gives a function that waits for changes."""
    ended, moved, count = threading.Event(), threading.Condition(), 0

    def change() -> None:
        nonlocal count
        while not ended.is_set():
            corpus.put(f"moving-{count % 7}", f"Stone number {count}.")
            corpus.embed()
            if count % 3 == 0:
                corpus.delete(f"moving-{count % 7}")
            with moved:
                count += 1
                moved.notify_all()

    def wait_for(changes: int) -> None:
        with moved:
            goal = count + changes
            assert moved.wait_for(lambda: count >= goal, _PATIENCE_S)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield wait_for
    finally:
        ended.set()
        thread.join()


def test_a_version_is_built_and_proven_while_the_corpus_never_rests(corpus: Corpus, routing_settings: Settings) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    with changing(corpus) as wait_for:
        wait_for(3)
        built = build_version("v1", "main", SPEC, routing_settings, patience_s=_PATIENCE_S)
        wait_for(3)
        proof = check_completeness("v1", routing_settings, patience_s=_PATIENCE_S)
    assert int(proof["watermark"]) > int(built["watermark"]) > 1
    assert proof["digest"] == proof["log_digest"]


def test_a_build_waits_for_the_vectors_of_an_upload_made_meanwhile(
    corpus: Corpus, routing_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    corpus.put("b", "Chalk is soft.")
    waited: list[int] = []
    step = Follower.step

    def embedded_after_a_while(follower: Follower) -> int:
        waited.append(step(follower))
        if len(waited) == 2:
            corpus.embed()
        return waited[-1]

    monkeypatch.setattr(Follower, "step", embedded_after_a_while)
    built = build_version("v1", "main", SPEC, routing_settings, patience_s=_PATIENCE_S)
    assert waited == [1, 1, 0]
    with database.read() as connection:
        assert (built["watermark"], built["chunks"]) == (head(connection, "main"), 2)


def test_a_change_made_between_following_and_comparing_is_no_difference(
    corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    catch_up = Follower.catch_up

    def then_comes_a_change(follower: Follower, patience_s: float) -> int:
        waiting = catch_up(follower, patience_s)
        corpus.put("b", "Chalk is soft.")
        corpus.embed()
        return waiting

    monkeypatch.setattr(Follower, "catch_up", then_comes_a_change)
    proof = check_completeness("v1", routing_settings, patience_s=0)
    assert (proof["watermark"], proof["chunks"], proof["waiting"]) == (2, 2, 0)


def test_a_change_that_still_waits_for_its_vectors_does_not_hold_the_proof_up(
    corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    catch_up = Follower.catch_up

    def then_comes_a_change(follower: Follower, patience_s: float) -> int:
        waiting = catch_up(follower, patience_s)
        corpus.put("b", "Chalk is very soft.")
        return waiting

    monkeypatch.setattr(Follower, "catch_up", then_comes_a_change)
    proof = check_completeness("v1", routing_settings, patience_s=0)
    assert (proof["watermark"], proof["chunks"], proof["waiting"]) == (2, 1, 1)
    assert proof["digest"] == proof["log_digest"]


def test_a_candidate_that_lost_one_chunk_of_many_is_refused_while_the_corpus_never_rests(
    corpus: Corpus, routing_settings: Settings, database: Database, tmp_path: Path
) -> None:
    for number in range(20):
        corpus.put(f"still-{number}", f"Granite number {number} is hard.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings, patience_s=0)
    with database.write() as connection:
        version = find_version(connection, "v1")
        create_version(connection, "v2", "main", SPEC)
    index = Index.load(Path(version.snapshot), tmp_path / "scratch")
    index.apply([DocumentUpdate(version.watermark, DocumentKey("main", "default", "still-7"), 1)], version.watermark)
    index.save(tmp_path / "lossy")
    with database.write() as connection:
        record_snapshot(connection, "v2", str(tmp_path / "lossy"), version.watermark, 19)
    with changing(corpus), pytest.raises(IncompleteIndex, match="1 chunks missing"):
        check_completeness("v2", routing_settings, patience_s=_PATIENCE_S)
