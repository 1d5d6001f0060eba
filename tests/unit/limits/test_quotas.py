"""Quotas: no answer beyond the day's tokens, no document beyond the plan's."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import documents
from include.quarry.catalog.usage import UsageKey, Used, add_usage
from include.quarry.errors import QuotaReached, TooManyRequests
from include.quarry.limits import quotas as module
from include.quarry.limits.quotas import Quotas
from include.quarry.records import DocumentKey

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Charge = Callable[[int], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, and how long the process has run; both move when the test moves them."""
    times = [NOON.timestamp(), 100.0]
    monkeypatch.setattr(module.time, "time", lambda: times[0])
    monkeypatch.setattr(module.time, "monotonic", lambda: times[1])
    return times


def charge(database: Database, tokens: int, tenant: str = "acme") -> None:
    with database.write() as connection:
        add_usage(connection, {UsageKey(tenant, NOON.date(), "fast"): Used(answers=1, prompt_tokens=tokens)})


def put(database: Database, doc_id: str, tenant: str = "acme", *, deleted: bool = False) -> None:
    texts = dict.fromkeys(("feed", "uri", "title", "content_type", "content_hash", "text"), "")
    row = texts | {"corpus": "main", "tenant": tenant, "doc_id": doc_id, "deleted": deleted}
    with database.write() as connection:
        values = row | {"seq": 1, "version": 1, "metadata": {}, "outline": []}
        connection.execute(documents.insert().values(**values, accepted_at=NOON, first_accepted_at=NOON))


async def upload(quotas: Quotas, document: DocumentKey, allowed: int) -> None:
    async with quotas.document(document, allowed):
        pass


def key(doc_id: str, tenant: str = "acme") -> DocumentKey:
    return DocumentKey("main", tenant, doc_id)


async def test_what_remains_of_todays_tokens(database: Database, clock: list[float]) -> None:
    charge(database, 300)
    charge(database, 9000, "umbra")
    standing = await Quotas(database).tokens("acme", 1000)
    assert (standing.remaining, standing.reset_s) == (700, 43_200)


async def test_a_day_whose_tokens_are_used_up_ends_at_midnight(database: Database, clock: list[float]) -> None:
    quotas = Quotas(database)
    assert await quotas.tokens("acme", 1000)
    charge(database, 1001)
    clock[1] += 10  # what is known is too old now to go by
    with pytest.raises(TooManyRequests, match="'acme' may use 1000 tokens in 86400 s") as refused:
        await quotas.tokens("acme", 1000)
    assert refused.value.retry_after_s == 43_200
    clock[0] += 43_200
    assert (await quotas.tokens("acme", 1000)).remaining == 1000


async def test_nobody_waits_for_a_sum_that_is_a_little_old(database: Database, clock: list[float]) -> None:
    """It is renewed behind the request that finds it so; the next one goes by what was found."""
    quotas = Quotas(database)
    await quotas.tokens("acme", 1000)
    charge(database, 1001)
    clock[1] += 0.9
    await quotas.tokens("acme", 1000)
    assert quotas._tokens["acme"].renewal is None
    clock[1] += 0.2
    assert (await quotas.tokens("acme", 1000)).remaining == 1000
    renewal = quotas._tokens["acme"].renewal
    assert renewal is not None
    await renewal
    with pytest.raises(TooManyRequests):
        await quotas.tokens("acme", 1000)


async def test_a_plan_without_tokens_admits_no_answer(database: Database, clock: list[float]) -> None:
    with pytest.raises(TooManyRequests):
        await Quotas(database).tokens("acme", 0)


async def test_documents_are_refused_when_there_are_as_many_as_allowed(database: Database) -> None:
    quotas = Quotas(database)
    for number in range(3):
        await upload(quotas, key(f"d{number}"), 3)
        put(database, f"d{number}")
    put(database, "gone", deleted=True)
    put(database, "other", "umbra")
    with pytest.raises(QuotaReached, match="'acme' has 3 documents, and its plan allows 3; delete some"):
        await upload(quotas, key("d3"), 3)
    with pytest.raises(QuotaReached):
        await upload(quotas, key("gone"), 3)
    await upload(quotas, key("d1"), 3)  # a new version of what is there
    await upload(quotas, key("d3", "umbra"), 3)


async def test_far_from_the_quota_documents_are_counted_seldom(
    database: Database, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    real = module.count_documents
    monkeypatch.setattr(module, "count_documents", lambda *given: counted.append(given[1]) or real(*given))
    quotas = Quotas(database)
    for number in range(100):
        await upload(quotas, key(f"d{number}"), 16 * 50)
    assert len(counted) == 2
    clock[1] += 10  # others may have uploaded meanwhile
    await upload(quotas, key("late"), 16 * 50)
    assert len(counted) == 3


async def test_many_uploads_at_once_pass_no_quota(database: Database) -> None:
    """Whoever is let in before an upload is over has its place, and a new version needs none."""
    quotas, goes_on, came_in = Quotas(database), asyncio.Event(), []
    for number in range(2):
        put(database, f"there{number}")

    async def slowly(doc_id: str) -> None:
        async with quotas.document(key(doc_id), 4):
            came_in.append(doc_id)
            await goes_on.wait()
            if doc_id.startswith("new"):
                await asyncio.to_thread(put, database, doc_id)

    versions = [asyncio.create_task(slowly(f"there{number}")) for number in range(2)]
    uploads = [asyncio.create_task(slowly(f"new{number}")) for number in range(20)]
    refused: set[asyncio.Task[None]] = set()
    while len(refused) < 18:
        done, _ = await asyncio.wait(set(uploads) - refused, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert done
        refused |= done
    assert all(isinstance(task.exception(), QuotaReached) for task in refused)
    goes_on.set()
    await asyncio.gather(*versions, *(set(uploads) - refused))
    assert len(came_in) == 4
    assert not quotas._coming


async def test_an_upload_that_fails_gives_its_place_back(database: Database) -> None:
    quotas = Quotas(database)
    with pytest.raises(ZeroDivisionError):
        async with quotas.document(key("d1"), 1):
            raise ZeroDivisionError
    await upload(quotas, key("d2"), 1)


async def test_nothing_is_kept_of_a_tenant_that_uploads_nothing_now(database: Database) -> None:
    quotas = Quotas(database)
    await asyncio.gather(*(upload(quotas, key(f"d{number}"), 100) for number in range(10)))
    assert (len(quotas._coming), len(quotas._counting)) == (0, 0)
