"""Routes: one row says who answers; every step has a way back, and none skips a version that was never built."""

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import (
    find_route,
    forget_previous,
    list_routes,
    make_live,
    put_in_canary,
    put_in_shadow,
    refuse,
    roll_back,
)
from include.quarry.catalog.versions import create_version, find_version, forget_snapshot, record_snapshot
from include.quarry.errors import Conflict, InvalidInput, NotFound
from include.quarry.specs import IndexSpec


@pytest.fixture
def built(database: Database) -> Database:
    """Three versions with snapshots; v1 is live."""
    with database.write() as connection:
        for version_id in ("v1", "v2", "v3"):
            create_version(connection, version_id, "main", IndexSpec())
            record_snapshot(connection, version_id, f"/snapshots/{version_id}", 7, 42)
        make_live(connection, "v1")
    return database


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {version_id: find_version(connection, version_id).state for version_id in ("v1", "v2", "v3")}


def test_a_candidate_goes_from_shadow_over_canary_to_live(built: Database) -> None:
    with built.write() as connection:
        route = put_in_shadow(connection, "v2", 0.5)
        assert (route.shadow_version, route.shadow_share, route.canary_version) == ("v2", 0.5, None)
        route = put_in_canary(connection, "v2", 0.05)
        assert (route.shadow_version, route.canary_version, route.canary_share) == (None, "v2", 0.05)
        assert put_in_canary(connection, "v2", 0.25).canary_share == 0.25
        route = make_live(connection, "v2")
        assert (route.live_version, route.previous_version, route.candidate) == ("v2", "v1", None)
    assert states(built) == {"v1": "retired", "v2": "live", "v3": "shadow"}


def test_every_change_of_a_route_counts_its_revision_up(built: Database) -> None:
    with built.write() as connection:
        revisions = [
            put_in_shadow(connection, "v2", 0.5).revision,
            put_in_canary(connection, "v2", 0.1).revision,
            make_live(connection, "v2").revision,
            roll_back(connection, "main", "").revision,
        ]
    assert revisions == [2, 3, 4, 5]
    with built.read() as connection:
        assert list_routes(connection) == {"main": find_route(connection, "main")}


def test_a_rollback_asked_for_twice_does_not_bring_back_what_was_taken_back(built: Database) -> None:
    with built.write() as connection:
        make_live(connection, "v2")
        route = roll_back(connection, "main", "answers were worse")
        assert (route.live_version, route.previous_version) == ("v1", "v2")
        assert find_version(connection, "v2").reason == "answers were worse"
        with pytest.raises(Conflict, match="'v2' was itself taken back"):
            roll_back(connection, "main", "asked for again")
        assert make_live(connection, "v2").live_version == "v2"
        assert roll_back(connection, "main", "").live_version == "v1"
        assert make_live(connection, "v2").live_version == "v2"
    assert states(built) == {"v1": "retired", "v2": "live", "v3": "shadow"}


def test_there_is_no_way_back_before_the_first_promotion_or_after_the_retention(built: Database) -> None:
    with built.write() as connection:
        with pytest.raises(Conflict, match="no other live version than 'v1'"):
            roll_back(connection, "main", "")
        with pytest.raises(NotFound, match="'nowhere'"):
            roll_back(connection, "nowhere", "")
        make_live(connection, "v2")
        forget_snapshot(connection, "v1")
        with pytest.raises(Conflict, match=r"'v1'.*no snapshot"):
            roll_back(connection, "main", "")
        forget_previous(connection, "v1")
        route = find_route(connection, "main")
        assert route is not None
        assert route.followed == ("v2",)


def test_one_candidate_is_tried_at_a_time(built: Database) -> None:
    with built.write() as connection:
        put_in_shadow(connection, "v2", 0.5)
        for put in (put_in_shadow, put_in_canary):
            with pytest.raises(Conflict, match="'v2' is tried"):
                put(connection, "v3", 0.5)
        refuse(connection, "v2", "overlap .1")
        assert put_in_canary(connection, "v3", 0.5).canary_version == "v3"


def test_a_refused_candidate_is_off_the_route_and_never_comes_back(built: Database) -> None:
    with built.write() as connection:
        put_in_canary(connection, "v2", 0.5)
        refuse(connection, "v2", "it failed on 3 queries")
        route = find_route(connection, "main")
        assert route is not None
        assert (route.candidate, route.canary_share, route.live_version) == (None, 0.0, "v1")
        with pytest.raises(Conflict, match="it failed on 3 queries"):
            make_live(connection, "v2")
        with pytest.raises(Conflict, match="it failed on 3 queries"):
            put_in_canary(connection, "v2", 0.5)


def test_the_live_version_can_be_neither_tried_nor_refused(built: Database) -> None:
    with built.write() as connection:
        with pytest.raises(Conflict, match="'v1' is live"):
            put_in_canary(connection, "v1", 0.5)
        with pytest.raises(Conflict, match="roll corpus 'main' back"):
            refuse(connection, "v1", "")


def test_a_rollback_leaves_another_candidate_on_its_way(built: Database) -> None:
    with built.write() as connection:
        make_live(connection, "v2")
        put_in_canary(connection, "v3", 0.25)
        route = roll_back(connection, "main", "")
    assert (route.live_version, route.canary_version, route.canary_share) == ("v1", "v3", 0.25)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_nothing_and_everything(built: Database, share: float) -> None:
    with built.write() as connection, pytest.raises(InvalidInput, match="between 0 and 1"):
        put_in_canary(connection, "v2", share)
