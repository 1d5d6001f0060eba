"""Limits as callers meet them: refusals with the time to come back, fields that say what remains, and the usage."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.usage import UsageKey, Used, add_usage
from include.quarry.errors import Unavailable
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.document_routes import document_routes
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.usage_routes import usage_routes
from include.quarry.limits.leases import Leases, WhenDown
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.plans import read_plans
from include.quarry.limits.protocol import Counters
from include.quarry.limits.quotas import Quotas
from include.quarry.limits.report import UsageReport
from tests.door import open_test_door, showing, token
from tests.unit.gateway.test_http import Platform, assert_problem

NOW = 1_000_000_000.25  # a quarter of a second into its windows
PLANS = """
plans:
  standard: {requests_per_s: 3, burst_s: 4, tokens_per_day: 100, documents: 2}
  small: {requests_per_s: 1, burst_s: 1, tokens_per_day: 100, documents: 2}
tenants:
  large: {requests_per_s: 1_000}
"""
Client = Callable[..., httpx.AsyncClient]


class NoCounters:
    """Whoever counts is down."""

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        raise Unavailable("down")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    return Database(url)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Client:
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    plans, platform = read_plans(path), Platform()

    def make(counters: Counters | None = None, when_down: WhenDown = "open") -> httpx.AsyncClient:
        leases = Leases(counters or MemoryCounters(), when_down=when_down, clock=lambda: NOW)
        door = open_test_door(limiter=Limiter(plans, leases, Quotas(database), when_down=when_down))
        routers = (
            document_routes(platform, door),
            retrieval_routes(platform.retrieve, door),
            answer_routes(Asking(platform.retrieve, platform.answer), door),
            usage_routes(UsageReport(database, plans), door),
        )
        transport = httpx.ASGITransport(build_http_app(routers, door, max_document_bytes=1000))
        return httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing("acme"))

    return make


def spend(database: Database, tenant: str, tier: str = "fast", **amounts: float) -> None:
    with database.write() as connection:
        add_usage(connection, {UsageKey(tenant, datetime.now(UTC).date(), tier): Used(**amounts)})  # type: ignore[arg-type]


async def retrieve(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/v1/retrieve", json={"query": "x"}, headers=headers)


async def test_every_response_says_what_remains_and_when_it_is_renewed(client: Client) -> None:
    async with client() as http:
        fields = [(await retrieve(http)).headers for _ in range(3)]
    assert {each["ratelimit-policy"] for each in fields} == {'"requests";q=12;w=4'}
    assert [each["ratelimit"] for each in fields] == [f'"requests";r={left};t=4' for left in (11, 10, 9)]


async def test_one_request_too_many_is_told_when_to_come_back(client: Client) -> None:
    async with client() as http:
        answers = [await retrieve(http) for _ in range(13)]
        other = await retrieve(http, **showing("umbra"))
    assert [answer.status_code for answer in answers] == [200] * 12 + [429]
    problem = assert_problem(answers[-1], 429)
    assert problem["detail"] == "tenant 'acme' may use 12 requests in 4 s, and has; try again in 4 s"
    assert answers[-1].headers["retry-after"] == "4"
    assert answers[-1].headers["ratelimit"] == '"requests";r=0;t=4'
    assert answers[-1].headers["x-request-id"]
    assert other.status_code == 200


async def test_the_token_chooses_the_plan_and_the_file_has_the_last_word(client: Client) -> None:
    async with client() as http:
        small = {"Authorization": f"Bearer {token('acme', plan='small')}"}
        gold = {"Authorization": f"Bearer {token('acme', plan='gold')}"}
        assert [(await retrieve(http, **small)).status_code for _ in range(2)] == [200, 429]
        assert (await retrieve(http, **showing("large"))).headers["ratelimit-policy"] == '"requests";q=4000;w=4'
        problem = assert_problem(await retrieve(http, **gold), 403)
    assert "'gold'; there are standard, small" in problem["detail"]


async def test_what_does_not_exist_is_limited_too(client: Client) -> None:
    async with client() as http:
        found = [(await http.get("/v1/nowhere")).status_code for _ in range(13)]
    assert found == [404] * 12 + [429]


async def test_a_tenant_over_its_tokens_may_retrieve_and_not_ask_for_answers(
    client: Client, database: Database
) -> None:
    spend(database, "acme", answers=1, prompt_tokens=60, completion_tokens=40)
    async with client() as http:
        refused = await http.post("/v1/answer", json={"question": "what?"})
        problem = assert_problem(refused, 429)
        assert (await retrieve(http)).status_code == 200
    assert "may use 100 tokens in 86400 s" in problem["detail"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["ratelimit-policy"] == '"tokens";q=100;w=86400'


async def test_an_answer_names_both_limits(client: Client, database: Database) -> None:
    spend(database, "acme", answers=1, prompt_tokens=60)
    async with client() as http:
        answer = await http.post("/v1/answer", json={"question": "what?", "stream": True})
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"requests";q=12;w=4, "tokens";q=100;w=86400'
    assert answer.headers["ratelimit"].startswith('"requests";r=11;t=4, "tokens";r=40;t=')


async def test_an_upload_beyond_the_quota_is_refused(client: Client, database: Database) -> None:
    from tests.unit.limits.test_quotas import put

    for number in range(2):
        put(database, f"d{number}")
    async with client() as http:
        problem = assert_problem(await http.put("/v1/documents/d2", json={"text": "new"}), 403)
        assert (await http.put("/v1/documents/d1", json={"text": "changed"})).status_code == 202
        assert (await http.put("/v1/documents/d2", json={"text": "new"}, headers=showing("umbra"))).status_code == 202
    assert (problem["title"], "2 documents" in problem["detail"]) == ("Quota reached", True)


@pytest.mark.parametrize(("when_down", "statuses"), [("open", [200] * 12 + [429]), ("closed", [503] * 13)])
async def test_without_anybody_who_counts_it_is_as_set(
    client: Client, when_down: WhenDown, statuses: list[int]
) -> None:
    async with client(NoCounters(), when_down) as http:
        found = [await retrieve(http) for _ in range(13)]
    assert [each.status_code for each in found] == statuses
    if when_down == "closed":
        assert_problem(found[0], 503)
        assert found[0].headers["retry-after"] == "1"


async def test_usage_is_shown_by_day_and_tier_with_the_limits(client: Client, database: Database) -> None:
    spend(database, "acme", "", requests=7, refused=2, documents=1)
    spend(database, "acme", "fast", answers=2, prompt_tokens=10, completion_tokens=5, engine_s=0.5, cost=0.25)
    spend(database, "acme", "deep", answers=1, prompt_tokens=100, engine_s=2, cost=1)
    spend(database, "umbra", "deep", answers=99)
    async with client() as http:
        usage = (await http.get("/v1/usage", params={"days": 3})).json()
    today, *before = usage["days"]
    assert (usage["tenant"], usage["documents_held"], len(before)) == ("acme", 0, 2)
    assert usage["limits"] == {"requests_per_s": 3, "burst_s": 4, "tokens_per_day": 100, "documents": 2}
    assert today["day"] == datetime.now(UTC).date().isoformat()
    assert {name: today[name] for name in ("requests", "refused", "documents", "answers", "tokens", "cost")} == {
        "requests": 7,
        "refused": 2,
        "documents": 1,
        "answers": 3,
        "tokens": 115,
        "cost": 1.25,
    }
    assert today["tiers"]["fast"] == {
        "answers": 2,
        "tokens": 15,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "engine_s": 0.5,
        "cost": 0.25,
    }
    assert all(day["requests"] == day["tokens"] == 0 and day["tiers"] == {} for day in before)


async def test_another_tenants_usage_is_for_administrators(client: Client, database: Database) -> None:
    spend(database, "umbra", "", requests=5)
    async with client() as http:
        assert_problem(await http.get("/v1/usage?tenant=umbra", headers=showing("acme", "retrieve")), 403)
        own = await http.get("/v1/usage?tenant=acme", headers=showing("acme", "retrieve"))
        found = (await http.get("/v1/usage?tenant=umbra", headers=showing("acme", "retrieve", "admin"))).json()
        assert_problem(await http.get("/v1/usage?days=0"), 422)
    assert own.status_code == 200
    assert (found["tenant"], found["days"][0]["requests"], found["limits"]) == ("umbra", 5, None)
