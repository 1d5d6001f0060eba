"""Who asks the tiers knows of a promotion within a moment: a deep release with a model of its own is there."""

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import promote_release, roll_release_back
from include.quarry.catalog.releases import create_release
from include.quarry.releases.watch import ReleaseWatch

MISSING = "is not installed"


@pytest.fixture
def watch(database: Database) -> ReleaseWatch:
    return ReleaseWatch(database, lambda tier: MISSING if tier == "deep" else "")


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
