"""Generation releases: what one is never changes, one row says who answers, and every step has a way back."""

from typing import Any

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import (
    ReleaseRoute,
    find_release_route,
    give_release_up,
    list_release_routes,
    promote_release,
    refuse_release,
    roll_release_back,
    try_release,
)
from include.quarry.catalog.releases import create_release, find_release, list_releases
from include.quarry.catalog.schema import generation_routes
from include.quarry.errors import Conflict, InvalidInput, NotFound
from include.quarry.generation.protocol import DEFAULT_RELEASE

WHAT: dict[str, Any] = {
    "tier": "fast",
    "model": "smollm2-135m",
    "prompt_version": "0123456789ab",
    "template": "a\n---\n",
}


@pytest.fixture
def created(database: Database) -> Database:
    """Three releases of the fast tier; the settings' own answers."""
    with database.write() as connection:
        for release_id in ("r1", "r2", "r3"):
            create_release(connection, release_id, **WHAT)
    return database


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {release.release_id: release.state for release in list_releases(connection)}


def route(database: Database) -> ReleaseRoute:
    with database.read() as connection:
        return find_release_route(connection, "fast")


def test_without_a_release_the_default_is_live_for_every_tier(database: Database) -> None:
    with database.read() as connection:
        assert list_release_routes(connection) == {"fast": ReleaseRoute("fast"), "deep": ReleaseRoute("deep")}
    assert route(database).followed == (DEFAULT_RELEASE,)


def test_what_a_release_is_never_changes(created: Database) -> None:
    with created.write() as connection:
        assert create_release(connection, "r1", **WHAT).state == "created"
        with pytest.raises(Conflict, match="another model or prompt"):
            create_release(connection, "r1", **{**WHAT, "model": "other"})
        with pytest.raises(Conflict, match="settings"):
            create_release(connection, DEFAULT_RELEASE, **WHAT)
        with pytest.raises(NotFound, match="releases list"):
            find_release(connection, "r9")


def test_a_release_is_tried_promoted_and_taken_back_by_one_row(created: Database) -> None:
    with created.write() as connection:
        steps = [
            try_release(connection, "r1", 0.25),
            try_release(connection, "r1", 0.5),
            promote_release(connection, "r1"),
            promote_release(connection, "r2"),
            roll_release_back(connection, "fast", "worse"),
        ]
        rows = connection.execute(sa.select(generation_routes)).all()
    assert [(step.live_release, step.canary_release, step.canary_share, step.revision) for step in steps] == [
        (DEFAULT_RELEASE, "r1", 0.25, 1),
        (DEFAULT_RELEASE, "r1", 0.5, 2),
        ("r1", None, 0.0, 3),
        ("r2", None, 0.0, 4),
        ("r1", None, 0.0, 5),
    ]
    assert len(rows) == 1
    assert states(created) == {"r1": "live", "r2": "retired", "r3": "created"}
    with created.read() as connection:
        assert find_release(connection, "r2").taken_back


def test_the_first_promotion_goes_back_to_the_default_and_who_asks_twice_is_refused(created: Database) -> None:
    with created.write() as connection:
        promote_release(connection, "r1")
        assert roll_release_back(connection, "fast", "").live_release == DEFAULT_RELEASE
        with pytest.raises(Conflict, match="no release before 'default'"):
            roll_release_back(connection, "fast", "again")
    assert states(created)["r1"] == "retired"


def test_a_promotion_that_breaks_off_has_moved_nothing(created: Database) -> None:
    def break_off() -> None:
        with created.write() as connection:
            promote_release(connection, "r1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert route(created) == ReleaseRoute("fast")
    assert states(created)["r1"] == "created"


def test_one_canary_at_a_time_and_only_a_new_one(created: Database) -> None:
    with created.write() as connection:
        try_release(connection, "r1", 0.1)
        with pytest.raises(Conflict, match="'r1' is tried"):
            try_release(connection, "r2", 0.1)
        with pytest.raises(InvalidInput, match="between 0 and 1"):
            try_release(connection, "r1", 1.5)
        promote_release(connection, "r1")
        with pytest.raises(Conflict, match="is live"):
            try_release(connection, "r1", 0.1)
        with pytest.raises(Conflict, match="roll fast back"):
            refuse_release(connection, "r1", "no")


def test_a_refused_release_is_off_the_route_for_good(created: Database) -> None:
    with created.write() as connection:
        try_release(connection, "r1", 0.1)
        assert refuse_release(connection, "r1", "worse answers").canary_release is None
        for step in (lambda: promote_release(connection, "r1"), lambda: try_release(connection, "r1", 0.1)):
            with pytest.raises(Conflict, match="worse answers"):
                step()
    assert states(created)["r1"] == "failed"


def test_a_live_release_that_cannot_answer_gives_way_to_the_one_before(created: Database) -> None:
    with created.write() as connection:
        promote_release(connection, "r1")
        promote_release(connection, "r2")
        back = give_release_up(connection, "r2", "the file is no model")
    assert (back.live_release, back.previous_release, back.canary_release) == ("r1", None, None)
    assert states(created) == {"r1": "live", "r2": "failed", "r3": "created"}
