"""What people ask is remembered after a promotion, and a change of it is a drift of its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import queries
from include.quarry.drift.queries import read_queries
from include.quarry.drift.query_watch import LEAST_QUERIES
from include.quarry.drift.sentinels import SENTINELS
from include.quarry.drift.watching import DriftWatch
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.unit.drift.test_watching import TopicEmbedder
from tests.unit.routing.corpus import SPEC, Corpus

pytestmark = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def corpus(database: Database, tmp_path: Path, catalog_url: str) -> Corpus:
    corpus = Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url))
    corpus.put("d", "granite of stone number 1.")
    corpus.embed(TopicEmbedder())
    build_version("v1", "main", SPEC, corpus.settings)
    promote("v1", corpus.settings)
    return corpus


@pytest.fixture
def watch(corpus: Corpus) -> DriftWatch:
    return DriftWatch(corpus.database, corpus.lake, corpus.settings.home.absolute(), "main")


def ask(corpus: Corpus, topics: list[str], count: int, at: datetime, *, tenant: str = "default", again: int = 1):
    """As many different questions, each asked so often."""
    rows = [
        {
            "query_id": f"{tenant}-{at:%d%H%M%S}-{number}-{time}",
            "corpus": "main",
            "tenant": tenant,
            "subject": "someone",
            "asked_at": at,
            "kind": "retrieve",
            "query": f"{topics[number % len(topics)]} of stone question {at:%d%H%M%S} {number}",
            "index_version": "v1",
            "hits": [],
        }
        for number in range(count)
        for time in range(again)
    ]
    with corpus.database.write() as connection:
        connection.execute(sa.insert(queries), rows)


def judge(watch: DriftWatch, since: datetime, until: datetime) -> dict:
    return watch.judge(TopicEmbedder(), since, until)["queries"]


@pytest.fixture
def began(corpus: Corpus, watch: DriftWatch) -> datetime:
    """Enough was asked in the hour after the promotion, and is remembered as of its end."""
    now = datetime.now(UTC) + timedelta(seconds=1)
    ask(corpus, ["granite", "chalk"], LEAST_QUERIES, now)
    until = now.replace(microsecond=0) + timedelta(seconds=1)
    watch.queries._remember(TopicEmbedder(), TopicEmbedder().encode(SENTINELS), until)
    assert watch.queries.memory.reference is not None
    return until


def test_nothing_is_judged_before_enough_different_queries_were_asked(corpus: Corpus, watch: DriftWatch) -> None:
    now = datetime.now(UTC)
    ask(corpus, ["granite"], LEAST_QUERIES - 1, now, again=3)
    assert judge(watch, now - HOUR, now + HOUR) == {"judged": False, "outcome": "insufficient_data"}
    assert watch.queries.memory.reference is None


def test_the_first_queries_are_remembered_and_not_judged_by_themselves(corpus: Corpus, watch: DriftWatch) -> None:
    now = datetime.now(UTC)
    ask(corpus, ["granite"], LEAST_QUERIES, now - timedelta(microseconds=1))
    watch.queries._promoted_at = now - HOUR
    assert not judge(watch, now - HOUR, now + HOUR)["judged"]
    reference = watch.queries.memory.reference
    assert reference is not None
    assert (reference.subject, reference.documents) == ("queries", LEAST_QUERIES)


def test_queries_of_the_same_kind_are_no_drift(corpus: Corpus, watch: DriftWatch, began: datetime) -> None:
    ask(corpus, ["granite", "chalk"], 100, began + HOUR / 2)
    found = judge(watch, began, began + HOUR)
    assert (found["judged"], found["outcome"]) == (True, "none")


def test_queries_of_another_kind_are_drift_and_ask_for_a_new_suite(
    corpus: Corpus, watch: DriftWatch, began: datetime
) -> None:
    ask(corpus, ["granite", "chalk", "coral"], 100, began + HOUR / 2)
    found = judge(watch, began - HOUR, began + HOUR)
    assert found["outcome"] == "drift"
    assert found["remedy"]["action"] == "renew_suite"
    assert watch.queries.memory.history()[0].since == began.replace(microsecond=0), "what is remembered is not judged"


def test_a_question_that_is_asked_again_and_again_counts_once(
    corpus: Corpus, watch: DriftWatch, began: datetime
) -> None:
    ask(corpus, ["granite", "chalk"], 99, began + HOUR / 2)
    ask(corpus, ["coral"], 1, began + HOUR / 2, tenant="bot", again=500)
    assert judge(watch, began, began + HOUR)["outcome"] == "none"


def test_the_same_words_of_two_tenants_are_two_queries_and_a_sample_is_bounded(corpus: Corpus) -> None:
    now = datetime.now(UTC)
    for tenant in ("a", "b"):
        ask(corpus, ["granite"], 5, now, tenant=tenant)
    found = read_queries(corpus.database, "main", now, now + HOUR, most=100)
    assert len(found) == 10
    assert len({query.text for query in found}) == 5
    assert len(read_queries(corpus.database, "main", now, now + HOUR, most=4)) == 4
    assert read_queries(corpus.database, "other", now, now + HOUR, most=4) == []
