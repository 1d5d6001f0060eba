"""The log loses what nobody needs any more, and nothing else notices."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.retention import truncate_log
from include.quarry.catalog.schema import changes
from include.quarry.catalog.updates import Follow, read_stretch
from include.quarry.catalog.versions import create_version, find_version
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote
from include.quarry.routing.renewal import renew_snapshots
from include.quarry.settings import Settings
from include.quarry.verification.catalog_sides import log_and_documents
from tests.unit.routing.corpus import SPEC, Corpus

FOLLOW = Follow("main", SPEC.chunker.fingerprint, SPEC.embedding.fingerprint)


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path) -> Iterator[Corpus]:
    """v1 is live with five documents; since then each has changed twice, and one is deleted."""
    settings = Settings(home=tmp_path / "home", database_url=catalog_url, snapshot_tail_changes=1)
    corpus = Corpus(database, settings)
    write_all(corpus, "hard")
    build_version("v1", "main", SPEC, settings)
    promote("v1", settings)
    write_all(corpus, "harder")
    write_all(corpus, "hardest")
    corpus.delete("d4")
    return corpus


def write_all(corpus: Corpus, how: str) -> None:
    for number in range(5):
        corpus.put(f"d{number}", f"Stone {number} is {how}.")
    corpus.embed()


def log(database: Database) -> list[tuple[int, str]]:
    with database.read() as connection:
        return [(row.seq, row.doc_id) for row in connection.execute(sa.select(changes).order_by(changes.c.seq))]


def test_what_a_version_has_not_applied_stays(corpus: Corpus) -> None:
    (done,) = truncate_log(corpus.database, 0.0)
    assert (done.removed, done.kept_from, done.held_by) == (5, 6, "v1")
    assert [seq for seq, _ in log(corpus.database)] == list(range(6, 17))


def test_a_version_that_is_being_built_holds_everything(corpus: Corpus) -> None:
    with corpus.database.write() as connection:
        create_version(connection, "v2", "main", SPEC)
    (done,) = truncate_log(corpus.database, 0.0)
    assert (done.removed, done.held_by) == (0, "v2")


def test_what_is_younger_than_the_retention_stays(corpus: Corpus) -> None:
    renew_snapshots(corpus.settings)
    (done,) = truncate_log(corpus.database, 3600.0)
    assert (done.removed, done.held_by) == (0, None)
    with corpus.database.write() as connection:
        old = datetime.now(UTC) - timedelta(hours=2)
        connection.execute(sa.update(changes).where(changes.c.seq <= 7).values(accepted_at=old))
    assert truncate_log(corpus.database, 3600.0)[0].removed == 7


def test_the_newest_change_of_each_document_stays_also_of_a_deleted_one(corpus: Corpus) -> None:
    renew_snapshots(corpus.settings)
    assert truncate_log(corpus.database, 0.0)[0].removed == 11
    assert log(corpus.database) == [(11, "d0"), (12, "d1"), (13, "d2"), (14, "d3"), (16, "d4")]
    assert truncate_log(corpus.database, 0.0)[0].removed == 0
    with corpus.database.read() as connection:
        assert head(connection, "main") == 16
    assert corpus.put("d0", "Stone 0 is soft.") == 17


def test_a_corpus_without_a_version_keeps_all(corpus: Corpus, database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(changes).values(corpus="other"))
    assert truncate_log(database, 0.0)[0].removed == 0
    assert len(log(database)) == 16


def test_the_proofs_hold_before_and_after_and_for_a_version_built_later(corpus: Corpus) -> None:
    renew_snapshots(corpus.settings)
    truncate_log(corpus.database, 0.0)
    with corpus.database.read() as connection:
        assert log_and_documents(connection, "main").differences == ()
        assert find_version(connection, "v1").watermark == 16
    build_version("v2", "main", SPEC, corpus.settings)
    proofs = [check_completeness(version, corpus.settings) for version in ("v1", "v2")]
    assert proofs[0]["digest"] == proofs[1]["digest"] == proofs[0]["log_digest"]


def test_a_hole_is_still_found(corpus: Corpus) -> None:
    truncate_log(corpus.database, 0.0)
    with corpus.database.write() as connection:
        connection.execute(sa.delete(changes).where(changes.c.seq == 11))  # of d0, between two others
        corpus_put_again = sa.update(changes).where(changes.c.seq == 6).values(doc_id="d0")
        connection.execute(corpus_put_again)
    with corpus.database.read() as connection:
        assert [str(each) for each in log_and_documents(connection, "main").differences] == ["main/default/d0 differs"]


def test_a_follower_that_the_bound_protects_still_sees_the_delete_on_the_way(corpus: Corpus) -> None:
    """d1 was deleted and came back, and waits for its vector: the delete, old as it is, must win at once."""
    renew_snapshots(corpus.settings)
    with corpus.database.read() as connection:
        watermark = find_version(connection, "v1").watermark
    corpus.delete("d1")
    corpus.put("d1", "A stone that nobody has embedded yet.")
    truncate_log(corpus.database, 0.0)
    with corpus.database.read() as connection:
        stretch = read_stretch(connection, FOLLOW, watermark)
    assert [(update.key.doc_id, update.seq) for update in stretch.updates] == [("d1", 17)]
    assert (stretch.watermark, stretch.waiting) == (16, 1)


def test_a_document_keeps_the_time_of_its_first_change(corpus: Corpus) -> None:
    def first() -> set[object]:
        with corpus.database.read() as connection:
            updates = read_stretch(connection, FOLLOW, 0).updates
        return {(update.key, update.first_accepted_at) for update in updates}

    before = first()
    renew_snapshots(corpus.settings)
    truncate_log(corpus.database, 0.0)
    assert first() == before
