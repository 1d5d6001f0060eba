"""Versions and routes: promotion changes one row, and refuses what was never built."""

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import find_route, make_live
from include.quarry.catalog.versions import (
    chunkers_of,
    create_version,
    find_version,
    list_versions,
    record_snapshot,
)
from include.quarry.errors import Conflict, NotFound
from include.quarry.specs import ChunkerSpec, IndexSpec


def build(database: Database, version_id: str, corpus: str = "main") -> None:
    with database.write() as connection:
        create_version(connection, version_id, corpus, IndexSpec())
        record_snapshot(connection, version_id, f"/snapshots/{version_id}", 7, 42)


def test_a_version_is_shadow_once_it_has_a_snapshot(database: Database) -> None:
    build(database, "v1")
    with database.read() as connection:
        version = find_version(connection, "v1")
    assert (version.state, version.watermark, version.chunk_count) == ("shadow", 7, 42)
    assert version.spec == IndexSpec()


def test_promotion_retires_the_version_that_was_live(database: Database) -> None:
    build(database, "v1")
    build(database, "v2")
    with database.write() as connection:
        assert make_live(connection, "v1").revision == 1
        assert make_live(connection, "v2").revision == 2
        assert {version.version_id: version.state for version in list_versions(connection)} == {
            "v1": "retired",
            "v2": "live",
        }


def test_promoting_the_live_version_again_changes_nothing(database: Database) -> None:
    build(database, "v1")
    with database.write() as connection:
        first = make_live(connection, "v1")
        assert make_live(connection, "v1") == first


def test_a_version_without_a_snapshot_is_never_promoted(database: Database) -> None:
    with database.write() as connection:
        create_version(connection, "v1", "main", IndexSpec())
        with pytest.raises(Conflict, match="has no snapshot"):
            make_live(connection, "v1")
        assert find_route(connection, "main") is None


def test_a_version_id_cannot_change_its_spec(database: Database) -> None:
    build(database, "v1")
    other = IndexSpec(chunker=ChunkerSpec(max_tokens=128))
    with database.write() as connection, pytest.raises(Conflict, match="another spec"):
        create_version(connection, "v1", "main", other)


def test_an_unknown_version_is_not_found(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="'v9'"):
        find_version(connection, "v9")


def test_documents_are_cut_for_every_version_in_use(database: Database) -> None:
    small = IndexSpec(chunker=ChunkerSpec(max_tokens=128))
    with database.write() as connection:
        assert chunkers_of(connection, "main") == [ChunkerSpec()]
        create_version(connection, "v1", "main", small)
        assert set(chunkers_of(connection, "main")) == {ChunkerSpec(), small.chunker}
        assert chunkers_of(connection, "other") == [ChunkerSpec()]
