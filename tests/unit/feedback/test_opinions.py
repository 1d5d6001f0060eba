"""An opinion is about a query of the same tenant, and the newest one counts."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.ratings import Rating, rated_queries
from include.quarry.catalog.request_schema import audit_records, queries, ratings
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.feedback.opinions import WAITING_AT_ONCE, Opinions
from include.quarry.feedback.query_log import forget_queries

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def log_query(database: Database, query_id: str, tenant: str = "red", corpus: str = "main") -> None:
    values = {"query_id": query_id, "corpus": corpus, "tenant": tenant, "subject": "ann", "asked_at": NOON}
    hits = [["a1", "guide", 0.5, {"dense": 1}], ["b2", "notes", 0.4, {"lexical": 1}]]
    with database.write() as connection:
        connection.execute(
            sa.insert(queries).values(
                **values, kind="answer", query="what?", index_version="v1", hits=hits, grounded=True
            )
        )


def rated(database: Database, corpus: str = "main"):
    with database.read() as connection:
        return rated_queries(connection, corpus, NOON, NOON + timedelta(days=1))


@pytest.fixture
def opinions(database: Database) -> Opinions:
    log_query(database, "q1")
    return Opinions(database, patience_s=0)


async def test_an_opinion_is_kept_with_what_was_shown(opinions: Opinions, database: Database) -> None:
    await opinions.rate("q1", "red", "ann", Rating(-1, comment="no"))
    (query,) = rated(database)
    assert (query.text, query.index_version, query.is_low) == ("what?", "v1", True)
    assert [(s.chunk_id, s.doc_id, s.ranks) for s in query.shown] == [
        ("a1", "guide", {"dense": 1}),
        ("b2", "notes", {"lexical": 1}),
    ]
    assert query.ratings == (Rating(-1, "", "no"),)


async def test_saying_it_twice_counts_once_and_a_change_of_mind_counts(opinions: Opinions, database: Database) -> None:
    for rating in (1, 1, -1):
        await opinions.rate("q1", "red", "ann", Rating(rating))
    assert [each.rating for each in rated(database)[0].ratings] == [-1]


async def test_two_people_and_two_passages_are_four_opinions(opinions: Opinions, database: Database) -> None:
    for subject in ("ann", "bob"):
        for chunk_id in ("a1", "b2"):
            await opinions.rate("q1", "red", subject, Rating(1, chunk_id))
    assert len(rated(database)[0].ratings) == 4


async def test_a_query_of_another_tenant_is_as_unknown_as_one_that_never_was(
    opinions: Opinions, database: Database
) -> None:
    with pytest.raises(NotFound) as foreign:
        await opinions.rate("q1", "blue", "eve", Rating(-1))
    with pytest.raises(NotFound) as missing:
        await opinions.rate("q9", "blue", "eve", Rating(-1))
    assert str(foreign.value).replace("q1", "q9") == str(missing.value)
    assert rated(database) == []


async def test_a_passage_that_was_not_shown_cannot_be_rated(opinions: Opinions) -> None:
    with pytest.raises(InvalidInput, match="c3"):
        await opinions.rate("q1", "red", "ann", Rating(1, "c3"))


async def test_a_query_whose_words_were_not_kept_can_be_rated(opinions: Opinions, database: Database) -> None:
    record = {"writer": "w", "number": 1, "at": NOON, "tenant": "red", "subject": "ann", "action": "answer"}
    with database.write() as connection:
        connection.execute(sa.insert(audit_records).values(**record, status=200, query_id="q2", body="{}", hash=""))
    await opinions.rate("q2", "red", "ann", Rating(1, "any"))
    with pytest.raises(NotFound):
        await opinions.rate("q2", "blue", "eve", Rating(1))


async def test_an_answer_that_is_on_its_way_into_the_catalog_is_waited_for(database: Database) -> None:
    opinions = Opinions(database, patience_s=30)
    rating = asyncio.create_task(opinions.rate("q1", "red", "ann", Rating(1)))
    await asyncio.sleep(0)
    log_query(database, "q1")
    await rating
    assert [each.rating for each in rated(database)[0].ratings] == [1]


async def test_whoever_waits_for_a_query_holds_no_thread(database: Database) -> None:
    """Five threads, as a replica has on half a core, and more made-up queries than that."""
    threads = ThreadPoolExecutor(5)
    asyncio.get_running_loop().set_default_executor(threads)
    opinions = Opinions(database, patience_s=600)
    made_up = [asyncio.create_task(opinions.rate(f"no{n}", "blue", "eve", Rating(1))) for n in range(WAITING_AT_ONCE)]
    log_query(database, "q1")
    for rating in (1, -1, 1):
        await asyncio.wait_for(opinions.rate("q1", "red", "ann", Rating(rating)), timeout=60)
    assert not any(task.done() for task in made_up)
    for task in made_up:
        task.cancel()
    await asyncio.wait(made_up)


async def test_of_one_tenant_only_some_wait_at_once(database: Database) -> None:
    opinions = Opinions(database, patience_s=600)
    tasks = [asyncio.create_task(opinions.rate(f"no{n}", "blue", "eve", Rating(1))) for n in range(20)]
    refused: set[asyncio.Task[None]] = set()
    while len(refused) < 20 - WAITING_AT_ONCE:
        done, _ = await asyncio.wait(set(tasks) - refused, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert done
        refused |= done
    assert all(isinstance(task.exception(), NotFound) for task in refused)
    other = asyncio.create_task(opinions.rate("q1", "red", "ann", Rating(1)))
    log_query(database, "q1")
    await asyncio.wait_for(other, timeout=60)
    waiting = set(tasks) - refused
    assert len(waiting) == WAITING_AT_ONCE
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    with pytest.raises(NotFound):  # and when they have gone, others may wait
        await opinions.rate("no", "blue", "eve", Rating(1), within_s=0)
    assert not opinions._waiting


async def test_nobody_waits_longer_than_their_request_may_take(database: Database) -> None:
    with pytest.raises(NotFound):
        await asyncio.wait_for(Opinions(database, patience_s=600).rate("q1", "red", "ann", Rating(1), within_s=0), 60)


async def test_a_review_reads_its_own_corpus_and_time_only(opinions: Opinions, database: Database) -> None:
    log_query(database, "q3", corpus="other")
    for query_id in ("q1", "q3"):
        await opinions.rate(query_id, "red", "ann", Rating(1))
    assert [query.query_id for query in rated(database)] == ["q1"]
    with database.read() as connection:
        assert rated_queries(connection, "main", NOON - timedelta(days=1), NOON) == []


async def test_what_nobody_rated_is_forgotten_first(database: Database) -> None:
    now = datetime.now(UTC)
    for query_id, days in (("fresh", 1), ("old", 20), ("old-rated", 20), ("ancient-rated", 50)):
        log_query(database, query_id)
        with database.write() as connection:
            connection.execute(
                sa.update(queries).where(queries.c.query_id == query_id).values(asked_at=now - timedelta(days=days))
            )
    for query_id in ("old-rated", "ancient-rated"):
        await Opinions(database).rate(query_id, "red", "ann", Rating(1))
    with database.write() as connection:
        assert forget_queries(connection, timedelta(days=10).total_seconds()) == 2
    with database.read() as connection:
        assert set(connection.scalars(sa.select(queries.c.query_id))) == {"fresh", "old-rated"}
        assert set(connection.scalars(sa.select(ratings.c.query_id))) == {"old-rated"}
