"""The review of a real catalog: the subjects found with the real embedding model, the command that asks for it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from evaluation.command import main
from evaluation.feedback_session import review_feedback
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.ratings import Rating, store_rating
from include.quarry.catalog.request_schema import queries
from include.quarry.errors import InvalidInput
from include.quarry.settings import Settings, load_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = {
    "a": ("How do I reset my password?", -1),
    "b": ("I forgot my password, how can I set a new one?", -1),
    "c": ("Where can I change the password of my account?", 1),
    "d": ("Which train goes to the harbour on Sundays?", -1),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, database_url="", lake_url="")
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    with database.write() as connection:
        for query_id, (text, rating) in ASKED.items():
            values = {"query_id": query_id, "corpus": "main", "tenant": "red", "subject": "ann", "asked_at": NOON}
            row = {**values, "kind": "answer", "query": text, "index_version": "v1", "hits": [], "grounded": False}
            connection.execute(sa.insert(queries).values(**row))
            store_rating(connection, query_id, "red", "ann", Rating(rating))
    database.close()
    return settings


def test_questions_about_one_subject_are_one_subject(settings: Settings) -> None:
    page, review, _ = review_feedback("main", NOON, NOON + timedelta(days=1), settings, None)
    assert [{query.query_id for query in cluster.queries} for cluster in review.clusters] == [{"a", "b"}, {"d"}]
    assert [(cluster.rated, cluster.low) for cluster in review.clusters] == [(3, 2), (1, 1)]
    assert review.causes == {"documents": 3}
    assert page.is_relative_to(settings.home)


def test_the_command_prints_the_page_and_the_numbers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUARRY_HOME", str(settings.home))
    load_settings.cache_clear()
    times = ("--since", "2026-03-01", "--until", "2026-03-02T00:00:00+00:00")
    assert main(["feedback", "--no-track", *times]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["rated"], said["low"], said["mlflow_run"]) == (4, 3, None)
    load_settings.cache_clear()


def test_a_review_that_ends_before_it_begins_is_refused(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="must end after it begins"):
        review_feedback("main", NOON, NOON, settings, None)
