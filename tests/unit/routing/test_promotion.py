"""What a task does to a version, also when it is tried again or something else has failed."""

import pytest

from include.quarry.catalog.routes import find_route, put_in_canary
from include.quarry.catalog.versions import create_version, find_version
from include.quarry.errors import Conflict
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import abandon, promote, promote_candidate, roll_back
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus


@pytest.fixture
def versions(corpus: Corpus, routing_settings: Settings) -> Settings:
    """v1 is live, v2 is built, v3 was never finished."""
    corpus.put("a", "Granite.")
    corpus.embed()
    for version_id in ("v1", "v2"):
        build_version(version_id, "main", SPEC, routing_settings)
    promote("v1", routing_settings)
    with corpus.database.write() as connection:
        create_version(connection, "v3", "main", SPEC)
    return routing_settings


def test_a_promotion_tried_again_does_not_undo_a_rollback(corpus: Corpus, versions: Settings) -> None:
    promote_candidate("v2", versions)
    assert promote_candidate("v2", versions)["live_version"] == "v2"
    roll_back("main", "worse answers", versions)
    with pytest.raises(Conflict, match="worse answers"):
        promote_candidate("v2", versions)
    with corpus.database.read() as connection:
        route = find_route(connection, "main")
        assert route is not None
        assert route.live_version == "v1"


def test_what_fails_on_its_way_is_taken_off_wherever_it_stands(corpus: Corpus, versions: Settings) -> None:
    with corpus.database.write() as connection:
        put_in_canary(connection, "v2", 0.5)
    assert [abandon(each, "the run failed", versions) for each in ("v2", "v3")] == [True, True]
    with corpus.database.read() as connection:
        route = find_route(connection, "main")
        assert route is not None
        assert (route.live_version, route.candidate) == ("v1", None)
        assert [find_version(connection, each).reason for each in ("v2", "v3")] == ["the run failed"] * 2


def test_what_is_live_or_has_ended_or_never_was_is_left_alone(corpus: Corpus, versions: Settings) -> None:
    abandon("v2", "overlap", versions)
    assert [abandon(each, "the run failed", versions) for each in ("v1", "v2", "nowhere")] == [False] * 3
    with corpus.database.read() as connection:
        assert find_version(connection, "v1").state == "live"
        assert find_version(connection, "v2").reason == "overlap"
