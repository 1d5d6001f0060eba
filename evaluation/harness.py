"""Puts a suite's queries to a driver with bounded concurrency, and measures."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from evaluation.drivers.protocol import Driver
from evaluation.judgments import Query
from evaluation.metrics import rank_documents
from include.quarry.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one query brought: documents best first, the time it took, and the state that answered."""

    query: Query
    ranking: tuple[str, ...]
    latency_ms: float
    index_version: str
    watermark: int


def ignore(_outcome: Outcome) -> None:
    """The listener of those who want no progress."""


async def ask_all(
    queries: Sequence[Query],
    driver: Driver,
    *,
    top_k: int,
    connections: int,
    on_outcome: Callable[[Outcome], None] = ignore,
) -> list[Outcome]:
    """Ask every query once, at most `connections` at a time; outcomes come in the order of the queries.

    One unmeasured query goes first, so that no latency holds a cold start. The first error of the driver ends it all.
    """
    if connections < 1:
        raise InvalidInput(f"connections is {connections}; allowed is 1 or more")
    if not queries:
        return []
    await driver.retrieve(queries[0].text, top_k=top_k)
    outcomes: dict[int, Outcome] = {}
    pending = iter(enumerate(queries))

    async def work() -> None:
        for place, query in pending:
            outcomes[place] = await _ask(query, driver, top_k)
            on_outcome(outcomes[place])

    workers = [asyncio.create_task(work()) for _ in range(min(connections, len(queries)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [outcomes[place] for place in range(len(queries))]


async def _ask(query: Query, driver: Driver, top_k: int) -> Outcome:
    started = perf_counter()
    found = await driver.retrieve(query.text, top_k=top_k)
    latency_ms = (perf_counter() - started) * 1000
    ranking = tuple(rank_documents(found.passages))
    return Outcome(query, ranking, latency_ms, found.index_version, found.watermark)
