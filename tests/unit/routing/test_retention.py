"""The end of a version: never the one that answers, and only after its retention."""

import gc
from pathlib import Path

import pytest

from include.quarry.catalog.routes import find_route, put_in_canary
from include.quarry.catalog.versions import find_version
from include.quarry.errors import Conflict, NotFound
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, refuse
from include.quarry.routing.retention import expire_versions, retire_version
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus


@pytest.fixture
def folders(corpus: Corpus, routing_settings: Settings) -> dict[str, Path]:
    """v1 was live, v2 is live, v3 is a candidate; the folder of each."""
    corpus.put("a", "Granite.")
    corpus.embed()
    for version_id in ("v1", "v2", "v3"):
        build_version(version_id, "main", SPEC, routing_settings)
    promote("v1", routing_settings)
    promote("v2", routing_settings)
    with corpus.database.write() as connection:
        put_in_canary(connection, "v3", 0.5)
    return {version_id: routing_settings.home.absolute() / "indexes" / version_id for version_id in ("v1", "v2", "v3")}


def with_retention(settings: Settings, seconds: float) -> Settings:
    return settings.model_copy(update={"version_retention_s": seconds})


def test_a_version_in_its_retention_stays(folders: dict[str, Path], routing_settings: Settings) -> None:
    assert expire_versions(with_retention(routing_settings, 3600)) == []
    assert all(folder.is_dir() for folder in folders.values())


def test_after_the_retention_the_files_go_and_the_way_back_is_closed(
    folders: dict[str, Path], corpus: Corpus, routing_settings: Settings
) -> None:
    refuse("v3", "a test", routing_settings)
    assert sorted(expire_versions(with_retention(routing_settings, 0))) == ["v1", "v3"]
    assert [name for name, folder in folders.items() if folder.exists()] == ["v2"]
    with corpus.database.read() as connection:
        route = find_route(connection, "main")
        assert route is not None
        assert route.followed == ("v2",)
        assert not find_version(connection, "v1").in_use
    assert expire_versions(with_retention(routing_settings, 0)) == []


@pytest.mark.parametrize("version_id", ["v2", "v3"])
def test_a_version_that_answers_is_never_retired(
    folders: dict[str, Path], routing_settings: Settings, version_id: str
) -> None:
    with pytest.raises(Conflict, match=version_id):
        retire_version(version_id, routing_settings)
    assert folders[version_id].is_dir()


def test_a_version_can_be_retired_before_its_time(
    folders: dict[str, Path], corpus: Corpus, routing_settings: Settings
) -> None:
    retire_version("v1", routing_settings)
    assert not folders["v1"].exists()
    with corpus.database.read() as connection:
        assert find_version(connection, "v1").snapshot == ""


@pytest.mark.usefixtures("folders")
def test_what_is_refused_leaves_no_connection_open(routing_settings: Settings) -> None:
    """A process that answers for months refuses things often."""
    gc.collect()
    gc.disable()
    try:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            with pytest.raises(Conflict):
                retire_version("v2", routing_settings)
            with pytest.raises(NotFound):
                check_completeness("v4", routing_settings)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        gc.enable()
