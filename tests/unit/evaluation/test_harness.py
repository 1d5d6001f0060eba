"""Queries are asked once each, within bounds, and measured without the cold start."""

import asyncio
from dataclasses import replace

import pytest

from evaluation.drivers.protocol import Retrieved
from evaluation.harness import ask_all, ask_in_turns
from evaluation.judgments import Query
from include.quarry.errors import InvalidInput, Unavailable
from tests.unit.evaluation.scripted_driver import ScriptedDriver

QUERIES = [Query(str(number), f"text {number}", answerable=True) for number in range(9)]


class GateDriver:
    """Holds every query until `width` of them are waiting, so that a narrower harness would never finish."""

    name = "gate"

    def __init__(self, width: int) -> None:
        self._barrier = asyncio.Barrier(width)
        self._warm = False
        self.most = self.present = 0

    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        if not self._warm:
            self._warm = True
            return Retrieved((), "v1", 1)
        self.present += 1
        self.most = max(self.most, self.present)
        await self._barrier.wait()
        self.present -= 1
        return Retrieved((("d", 1.0),), "v1", 1)

    async def close(self) -> None: ...


class FailingDriver(ScriptedDriver):
    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        if query == "text 4":
            raise Unavailable("gone")
        return await super().retrieve(query, top_k=top_k)


async def test_as_many_queries_are_in_flight_as_there_are_connections_and_no_more() -> None:
    driver = GateDriver(3)
    outcomes = await asyncio.wait_for(ask_all(QUERIES, driver, top_k=10, connections=3), timeout=10)
    assert driver.most == 3
    assert [outcome.query for outcome in outcomes] == QUERIES


async def test_every_query_is_asked_once_after_one_unmeasured_warm_up() -> None:
    driver, seen = ScriptedDriver({}), []
    await ask_all(QUERIES, driver, top_k=10, connections=4, on_outcome=seen.append)
    assert sorted(driver.asked) == sorted(["text 0", *(query.text for query in QUERIES)])
    assert len(seen) == len(QUERIES)
    assert all(outcome.latency_ms >= 0 for outcome in seen)


async def test_passages_become_documents() -> None:
    driver = ScriptedDriver({"text 0": [("b", 2.0), ("a", 1.0), ("b", 0.5)]})
    (outcome,) = await ask_all(QUERIES[:1], driver, top_k=10, connections=1)
    assert outcome.ranking == ("b", "a")
    assert (outcome.index_version, outcome.watermark) == ("v1", 7)


@pytest.mark.parametrize("connections", [1, 5])
async def test_the_first_error_ends_the_run_and_leaves_no_task_behind(connections: int) -> None:
    with pytest.raises(Unavailable, match="gone"):
        await ask_all(QUERIES, FailingDriver({}), top_k=10, connections=connections)
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_does_not_wait_for_a_query_that_hangs() -> None:
    class HangingDriver(FailingDriver):
        async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
            if query == "text 1":
                await asyncio.Event().wait()
            return await super().retrieve(query, top_k=top_k)

    with pytest.raises(Unavailable, match="gone"):
        await asyncio.wait_for(ask_all(QUERIES, HangingDriver({}), top_k=10, connections=2), timeout=5)


async def test_no_queries_need_no_driver_and_no_connections_are_refused() -> None:
    assert await ask_all([], ScriptedDriver({}), top_k=1, connections=1) == []
    with pytest.raises(InvalidInput, match="connections"):
        await ask_all(QUERIES, ScriptedDriver({}), top_k=1, connections=0)


async def test_two_versions_answer_each_query_right_after_each_other_and_take_turns_in_being_first() -> None:
    asked: list[tuple[str, str]] = []

    class Noting(ScriptedDriver):
        async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
            asked.append((self.name, query))
            return await super().retrieve(query, top_k=top_k)

    drivers = [Noting({}, ["v1"]), Noting({}, ["v2"])]
    drivers[0].name, drivers[1].name = "live", "candidate"
    outcomes = await ask_in_turns(QUERIES, drivers, top_k=10, connections=1, rounds=2)
    measured = asked[2:]
    pairs = list(zip(measured[::2], measured[1::2], strict=True))
    assert all(one[1] == other[1] and one[0] != other[0] for one, other in pairs)
    first = [one[0] for one, _ in pairs]
    assert {name: first.count(name) for name in first} == {"live": 9, "candidate": 9}
    assert first[0] != first[9]  # the same query, the next round
    assert [[outcome.query for outcome in each] for each in outcomes] == [[*QUERIES, *QUERIES]] * 2
    assert [{outcome.index_version for outcome in each} for each in outcomes] == [{"v1"}, {"v2"}]


@pytest.mark.parametrize(("behind_for", "asked", "split"), [(0, 1, False), (2, 3, False), (99, 3, True)])
async def test_a_query_that_the_log_moved_under_is_put_to_both_anew_a_few_times(
    behind_for: int, asked: int, split: bool
) -> None:
    class Following(ScriptedDriver):
        async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
            found = await super().retrieve(query, top_k=top_k)
            return replace(found, watermark=6 if 1 < len(self.asked) < 2 + behind_for else 7)

    live, candidate, seen = ScriptedDriver({}), Following({}), []
    ours, theirs = await ask_in_turns(QUERIES[:1], [live, candidate], top_k=10, connections=1, on_outcome=seen.append)
    assert len(live.asked) == len(candidate.asked) == 1 + asked
    assert (ours[0].watermark != theirs[0].watermark) is split
    assert len(seen) == 2
