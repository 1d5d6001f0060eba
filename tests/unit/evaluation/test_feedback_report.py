"""A review is a page that a person can read, safe to open whatever people wrote, and a picture."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evaluation.feedback_report import Review, write_review
from include.quarry.catalog.ratings import RatedQuery, Rating, Shown
from include.quarry.feedback.clusters import Cluster

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def review() -> Review:
    passages = [Shown("a1", "guide.md", 0.5, {"dense": 1, "lexical": 2}), Shown("b2", "notes.md", 0.4, {"dense": 2})]
    said = (Rating(-1, comment=HOSTILE), Rating(1, "b2"))
    query = RatedQuery("q1", "red", f"how to open {HOSTILE}?", NOON, "v7", passages, True, said)
    cluster = Cluster((query,), rated=4, low=1, cause="prompt", causes={"prompt": 1})
    return Review("main", NOON, NOON, 4, 1, [cluster], {"a1": f"The gate {HOSTILE} opens."})


def test_the_page_says_what_disappointed_and_what_to_try(review: Review, tmp_path: Path) -> None:
    page, picture = write_review(tmp_path / "r", review)
    text = page.read_text()
    assert "1 of 4 rated queries disappointed (25%)" in text
    assert "include/prompts/answer.md" in text
    assert "guide.md" in text and "dense 1, lexical 2" in text
    assert "rated +1" in text
    assert "version v7, query q1" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_passage_that_is_gone_is_said_to_be_gone(review: Review, tmp_path: Path) -> None:
    assert "no longer in the catalog" in write_review(tmp_path, review)[0].read_text()


def test_what_people_wrote_cannot_run_in_the_reader_s_browser(review: Review, tmp_path: Path) -> None:
    text = write_review(tmp_path, review)[0].read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4


@pytest.mark.parametrize("text", [r"how much is $\frac$?", "is $5^ less than $6_ a day"])
def test_what_people_ask_about_money_is_no_formula(review: Review, tmp_path: Path, text: str) -> None:
    query = replace(review.clusters[0].queries[0], text=text)
    clusters = [replace(review.clusters[0], queries=(query,))]
    page, _ = write_review(tmp_path, replace(review, clusters=clusters))
    assert text in page.read_text()


def test_a_month_without_ratings_is_a_page_too(tmp_path: Path) -> None:
    page, _ = write_review(tmp_path, Review("main", NOON, NOON, 0, 0, [], {}))
    assert "0 rated queries" in page.read_text()
