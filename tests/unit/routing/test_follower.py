"""How an index keeps to the log: deletes at once, also while there is much to apply, and a watermark that is true."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from include.quarry.catalog import updates as log
from include.quarry.catalog.versions import find_version
from include.quarry.records import DocumentUpdate
from include.quarry.retrieval.index import Index
from include.quarry.routing import follower as module
from include.quarry.routing.building import build_version
from include.quarry.routing.opening import opens_here
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus


class Replica:
    """One index and what keeps it fresh, as a replica opens them."""

    def __init__(self, corpus: Corpus, scratch: Path) -> None:
        with corpus.database.read() as connection:
            version = find_version(connection, "v1")
        scratch.mkdir()
        index, self.follower = opens_here(corpus.database, corpus.lake)(version, scratch)
        assert isinstance(index, Index)
        self.index = index
        self._database = corpus.database

    @property
    def shown(self) -> set[str]:
        return {key.doc_id for key in self.index.documents()}

    def look(self) -> None:
        """What a replica does each time it asks the log."""
        with self._database.read() as connection:
            apply = self.follower.look(connection)
        apply()


@pytest.fixture
def open_replica(corpus: Corpus, routing_settings: Settings, tmp_path: Path) -> Callable[[], Replica]:
    """Replicas of a version that holds the documents `gone` and `moving`."""
    corpus.put("gone", "Gravel is loose.")
    corpus.put("moving", "Clay is wet.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings)
    return lambda: Replica(corpus, tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_DOCUMENTS_PER_PAGE", 1)
    monkeypatch.setattr(module, "_CHUNKS_PER_PART", 1)
    monkeypatch.setattr(module, "_PART_S", 0.0)


def after_first(index: Index, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> list[list[str]]:
    """Have something happen as soon as the first documents are applied; gives what is applied, batch by batch."""
    batches: list[list[str]] = []
    apply = Index.apply

    def applied(self: Index, updates: Sequence[DocumentUpdate], watermark: int) -> None:
        apply(self, updates, watermark)
        if self is index and updates:
            batches.append([update.key.doc_id for update in updates])
            if len(batches) == 1:
                then()

    monkeypatch.setattr(Index, "apply", applied)
    return batches


@pytest.mark.usefixtures("small_pages")
def test_what_is_deleted_meanwhile_does_not_wait_for_the_end_of_a_long_stretch(
    corpus: Corpus, open_replica: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = open_replica()
    for number in range(6):
        corpus.put(f"new-{number}", f"Stone number {number}.")
    corpus.embed()
    after_first(replica.index, monkeypatch, lambda: corpus.delete("gone"))
    replica.look()
    replica.look()
    assert "gone" not in replica.shown
    assert len(replica.shown) < 7
    replica.follower.step()
    assert replica.shown == {"moving", *(f"new-{number}" for number in range(6))}


@pytest.mark.usefixtures("small_pages")
def test_what_is_gone_already_is_the_first_to_be_applied_of_a_long_stretch(
    corpus: Corpus, open_replica: Callable[[], Replica]
) -> None:
    replica = open_replica()
    for number in range(6):
        corpus.put(f"new-{number}", f"Stone number {number}.")
    corpus.embed()
    corpus.delete("gone")
    replica.look()
    assert "gone" not in replica.shown
    assert len(replica.shown) < 7


@pytest.mark.usefixtures("small_pages")
def test_a_watermark_does_not_pass_a_change_that_another_one_overtook_between_the_pages(
    corpus: Corpus, open_replica: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = open_replica()
    corpus.put("new", "Chalk is soft.")
    overtaken = corpus.put("moving", "Clay is dry by now.")
    corpus.put("newest", "Slate is thin.")
    corpus.embed()

    def overtake() -> None:
        corpus.put("moving", "Clay was burnt.")
        corpus.embed()

    after_first(replica.index, monkeypatch, overtake)
    index = replica.index
    seen: list[tuple[int, int]] = []
    for _ in range(10):
        replica.look()
        seen.append((index.watermark, max(version for _, version in index.contents())))
    assert all(version > 1 for watermark, version in seen if watermark >= overtaken)
    assert seen[-1][0] > overtaken
    assert replica.shown == {"gone", "moving", "new", "newest"}


def test_a_rollback_knows_of_the_deletes_that_the_version_before_was_told_of_alone(
    corpus: Corpus, open_replica: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = open_replica(), open_replica()
    theirs.follower.step()
    corpus.put("new", "Chalk is soft.")
    corpus.embed()
    ours.follower.step()
    corpus.delete("gone")
    monkeypatch.setattr(module, "_LITTLE", -1)  # there is too much to apply before it answers
    theirs.follower.take_over(ours.follower)
    assert "gone" not in theirs.shown
    ours.follower.take_over(theirs.follower)
    assert "gone" not in ours.shown
