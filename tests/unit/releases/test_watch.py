"""Who asks the tiers knows of a promotion within a moment: a deep release with a model of its own is there."""

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import promote_release, roll_release_back, try_release
from include.quarry.catalog.releases import create_release
from include.quarry.generation.protocol import DEFAULT_RELEASE, Origin
from include.quarry.releases.watch import ReleaseWatch

MISSING = "is not installed"
DEFAULT = Origin(DEFAULT_RELEASE, "small", "0123456789ab")


@pytest.fixture
def watch(database: Database) -> ReleaseWatch:
    return ReleaseWatch(database, lambda tier: MISSING if tier == "deep" else "", {"fast": DEFAULT})


def test_a_tier_without_the_settings_model_is_there_while_another_release_is_live(
    watch: ReleaseWatch, database: Database
) -> None:
    assert (watch.absence_of("fast"), watch.absence_of("deep")) == ("", MISSING)
    with database.write() as connection:
        create_release(connection, "own", tier="deep", model="own.gguf", prompt_version="0123456789ab", template="x")
        promote_release(connection, "own")
    watch.look()
    assert watch.absence_of("deep") == ""
    with database.write() as connection:
        roll_release_back(connection, "deep", "worse")
    watch.look()
    assert watch.absence_of("deep") == MISSING


def test_it_tells_who_would_answer_as_the_answer_will(watch: ReleaseWatch, database: Database) -> None:
    def makers(question: str = "what?") -> list[str]:
        watch.look()
        return [watch.maker("fast", "red", question), watch.maker("deep", "red", question)]

    assert makers() == [str(DEFAULT), MISSING]
    with database.write() as connection:
        for release_id in ("next", "later"):
            prompt = {"prompt_version": "0123456789ab", "template": "x"}
            create_release(connection, release_id, tier="fast", model="small", **prompt)
        promote_release(connection, "next")
    assert makers() == [str(Origin("next", "small", "0123456789ab")), MISSING]
    with database.write() as connection:
        try_release(connection, "later", 0.5)
    assert {makers(f"what about {number}?")[0] for number in range(40)} == {"next", "later"}
