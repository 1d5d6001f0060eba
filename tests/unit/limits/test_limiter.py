"""The limiter as the settings say it, and what it does without the catalog."""

from pathlib import Path
from typing import Any

import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Forbidden, Misconfigured, TooManyRequests, Unavailable
from include.quarry.limits.leases import WhenDown
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.opening import open_limiter
from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import Settings

NOWHERE = "sqlite:////nowhere/catalog.db"


def opened(url: str = NOWHERE, **settings: Any) -> Limiter:
    return open_limiter(Settings(plans=REPOSITORY / "include/plans.yaml", _env_file=None, **settings), Database(url))


@pytest.mark.parametrize("when_down", ["open", "closed"])
async def test_tokens_that_nobody_can_count_now_are_as_set(when_down: WhenDown) -> None:
    limiter = opened(limits_when_down=when_down)
    if when_down == "open":
        assert await limiter.answer("acme", "standard") is None
    else:
        with pytest.raises(Unavailable):
            await limiter.answer("acme", "standard")


async def test_refusals_are_counted_by_limit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans: {standard: {requests_per_s: 1, burst_s: 3600, tokens_per_day: 0, documents: 0}}")
    limiter = open_limiter(Settings(plans=plans, _env_file=None), Database(url))
    for _ in range(2):
        with pytest.raises(TooManyRequests):
            await limiter.answer("acme", "standard")
    assert (await limiter.request("acme", "standard")).limit.amount == 3600
    assert limiter.refused == {"tokens": 2}
    assert limiter.is_shared


async def test_a_plan_that_there_is_not_admits_nothing() -> None:
    with pytest.raises(Forbidden, match="'gold'"):
        await opened().request("acme", "gold")


def test_a_redis_that_cannot_be_read_stops_the_start_and_shows_no_password() -> None:
    with pytest.raises(Misconfigured, match="QUARRY_REDIS_URL") as raised:
        opened(redis_url="http://user:hush@localhost")
    assert "hush" not in str(raised.value)
