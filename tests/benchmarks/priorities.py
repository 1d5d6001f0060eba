"""The fast tier under more than it can do: urgent requests in a flood of batch work, and tenants beside a flooding one.

Through the whole platform, with the real engine. The yardsticks are of the same run: the idle tier for the first, the
same tenants without the flood for the second. Requests that the tier refuses fall to the passages: they are answered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np

from tests.benchmarks.answering import Callers, Told, answering_platform, documents, question
from tests.benchmarks.report import Report, Row

NAME = "priorities"
TIMES_CAPACITY = 8
MAX_URGENT, MAX_OTHERS = 1.5, 1.5
_OTHERS = ("ada", "ben", "cleo", "dan")
_FLOOD = "flood"
_FAST = {"tier": "fast"}


def run(folder: Path, requests: int) -> Report:
    """`requests` of the urgent tenant, idle and in the flood; as many of each other tenant."""
    with answering_platform(folder / NAME, [*_OTHERS, _FLOOD], documents()) as callers:
        return asyncio.run(_measure(callers, requests))


async def _measure(callers: Callers, requests: int) -> Report:
    async with callers.client() as http:
        await _one_by_one(callers, http, _OTHERS[0], "urgent", 3)  # warms up
        idle = await _one_by_one(callers, http, _OTHERS[0], "urgent", requests)
        turn_s = _p(95, [told.total_s for told in idle])
        async with _flood(callers, http, "batch", turn_s) as batch:
            urgent = await _one_by_one(callers, http, _OTHERS[0], "urgent", requests)
        alone = await _together(callers, http, requests)
        async with _flood(callers, http, "normal", turn_s) as flood:
            beside = await _together(callers, http, requests)
    bound_s = MAX_URGENT * _p(95, _firsts(idle)) + turn_s
    rows = [
        Row(
            "urgent in a batch flood: first text, ms",
            [1000 * each for each in _firsts(idle)],
            [1000 * each for each in _firsts(urgent)],
            _p(95, _firsts(urgent)) / bound_s,
            "of 1.5 idle p95 + a turn",
            at_most=1.0,
        ),
        Row(
            "tenants beside a flooding one: whole answer, ms",
            [1000 * told.total_s for told in alone],
            [1000 * told.total_s for told in beside],
            _p(95, [told.total_s for told in beside]) / _p(95, [told.total_s for told in alone]),
            "x p95 without it",
            at_most=MAX_OTHERS,
        ),
        Row("batch requests without an answer", [], [], _unanswered(batch), "of all", at_most=0.0),
    ]
    notes = [
        f"urgent: {_tiers(urgent)}; batch: {_tiers(batch)}, longest {max(told.total_s for told in batch):.1f} s",
        f"beside the flood: {_tiers(beside)}; the flood itself: {_tiers(flood)}",
        f"a turn takes {turn_s:.2f} s at p95; {TIMES_CAPACITY} requests came in each",
    ]
    return Report(NAME, rows, notes)


async def _one_by_one(callers: Callers, http: httpx.AsyncClient, tenant: str, priority: str, count: int) -> list[Told]:
    shown = callers.showing(tenant, priority)
    return [await callers.ask(http, shown, tenant, {"question": question(n), **_FAST}) for n in range(count)]


async def _together(callers: Callers, http: httpx.AsyncClient, requests: int) -> list[Told]:
    """The other tenants at once, each with one request after the other."""
    lists = await asyncio.gather(*(_one_by_one(callers, http, each, "normal", requests) for each in _OTHERS))
    return [told for each in lists for told in each]


@asynccontextmanager
async def _flood(callers: Callers, http: httpx.AsyncClient, priority: str, turn_s: float) -> AsyncIterator[list[Told]]:
    """So many times what one slot can serve, from one tenant, while the block runs; all have ended after it."""
    shown, told = callers.showing(_FLOOD, priority), list[Told]()
    sent: list[asyncio.Task[Told]] = []

    async def pour() -> None:
        began = time.monotonic()
        while True:
            body = {"question": question(len(sent)), **_FAST}
            sent.append(asyncio.create_task(callers.ask(http, shown, _FLOOD, body)))
            await asyncio.sleep(began + len(sent) * turn_s / TIMES_CAPACITY - time.monotonic())

    pouring = asyncio.create_task(pour())
    await asyncio.sleep(2 * turn_s)  # the queue fills
    try:
        yield told
    finally:
        pouring.cancel()
        told += await asyncio.gather(*sent)


def _firsts(told: Sequence[Told]) -> list[float]:
    return [each.first_s for each in told]


def _p(percent: float, values: Sequence[float]) -> float:
    return float(np.percentile(values, percent))


def _unanswered(told: Sequence[Told]) -> float:
    return sum(each.status != httpx.codes.OK or not each.tier for each in told) / len(told)


def _tiers(told: Sequence[Told]) -> str:
    counts = {tier: sum(each.tier == tier for each in told) for tier in ("fast", "extractive", "none", "")}
    return ", ".join(f"{count} {tier or 'unanswered'}" for tier, count in counts.items() if count)
