"""What a tenant used, day by day, and what it may: the fields of `GET /v1/usage`."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.quarry.catalog.database import Database
from include.quarry.catalog.usage import UsageKey, Used, count_documents, read_usage
from include.quarry.limits.plans import Plan, Plans


class UsageReport:
    """Reads the catalog; its verb blocks."""

    def __init__(self, database: Database, plans: Plans) -> None:
        self._database = database
        self._plans = plans

    def of(self, tenant: str, claim: str | None, days: int) -> dict[str, Any]:
        """The last days of a tenant, today first. `claim` is the plan that a token of it names, if one is known."""
        today = datetime.now(UTC).date()
        with self._database.read() as connection:
            rows = read_usage(connection, tenant, today - timedelta(days=days - 1))
            held = count_documents(connection, tenant)
        listed = [_day(day, [row for row in rows if row[0].day == day]) for day in _days(today, days)]
        return {
            "tenant": tenant,
            "limits": None if claim is None else _limits(self._plans.of(tenant, claim)),
            "documents_held": held,
            "days": listed,
        }


def _days(today: date, count: int) -> list[date]:
    return [today - timedelta(days=back) for back in range(count)]


def _day(day: date, rows: list[tuple[UsageKey, Used]]) -> dict[str, Any]:
    total = Used()
    for _, used in rows:
        total.add(used)
    tiers = {key.tier: _tokens(used) | {"answers": used.answers} for key, used in rows if key.tier}
    counts = {name: getattr(total, name) for name in ("requests", "refused", "documents", "answers")}
    return {"day": day, **counts, **_tokens(total), "tiers": tiers}


def _tokens(used: Used) -> dict[str, Any]:
    names = ("prompt_tokens", "completion_tokens", "engine_s", "cost")
    return {name: value for name, value in asdict(used).items() if name in names} | {"tokens": used.tokens}


def _limits(plan: Plan) -> dict[str, int]:
    return plan.model_dump()
