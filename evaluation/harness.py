"""Puts a suite's queries to a driver with bounded concurrency, and measures."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from evaluation.drivers.protocol import Driver
from evaluation.judgments import Query
from evaluation.metrics import rank_documents
from include.quarry.errors import InvalidInput

_TRIES = 3


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
    """Ask every query once; outcomes come in the order of the queries. For the rest see `ask_in_turns`."""
    (outcomes,) = await ask_in_turns(queries, [driver], top_k=top_k, connections=connections, on_outcome=on_outcome)
    return outcomes


async def ask_in_turns(
    queries: Sequence[Query],
    drivers: Sequence[Driver],
    *,
    top_k: int,
    connections: int,
    rounds: int = 1,
    on_outcome: Callable[[Outcome], None] = ignore,
) -> list[list[Outcome]]:
    """Put every query `rounds` times to each driver, at most `connections` queries at a time.

    The drivers answer a query right after each other and take turns in being first, so that a busy machine burdens all
    alike. Outcomes come by driver, in the order of the queries, round after round. One unmeasured query goes first, so
    that no latency holds a cold start. A query that the log moved under, so that drivers answered it at different
    places, is put to all of them anew, a few times. The first error of a driver ends it all.
    """
    if connections < 1:
        raise InvalidInput(f"connections is {connections}; allowed is 1 or more")
    if not queries:
        return [[] for _ in drivers]
    for driver in drivers:
        await driver.retrieve(queries[0].text, top_k=top_k)
    asked = [query for _ in range(rounds) for query in queries]
    outcomes: dict[tuple[int, int], Outcome] = {}
    pending = iter(enumerate(asked))

    async def work() -> None:
        for place, query in pending:
            turn = place % len(queries) + place // len(queries)  # another one is first in the next round
            for _ in range(_TRIES):
                for step in range(len(drivers)):
                    who = (turn + step) % len(drivers)
                    outcomes[who, place] = await _ask(query, drivers[who], top_k)
                if len({outcomes[who, place].watermark for who in range(len(drivers))}) == 1:
                    break
            for who in range(len(drivers)):
                on_outcome(outcomes[who, place])

    workers = [asyncio.create_task(work()) for _ in range(min(connections, len(asked)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [[outcomes[who, place] for place in range(len(asked))] for who in range(len(drivers))]


async def _ask(query: Query, driver: Driver, top_k: int) -> Outcome:
    started = perf_counter()
    found = await driver.retrieve(query.text, top_k=top_k)
    latency_ms = (perf_counter() - started) * 1000
    ranking = tuple(rank_documents(found.passages))
    return Outcome(query, ranking, latency_ms, found.index_version, found.watermark)
