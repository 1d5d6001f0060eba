"""Tickets of windows: never one too many, whoever draws them, and an answer in time when nobody counts."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import TooManyRequests, Unavailable
from include.quarry.limits.leases import Leases
from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.protocol import Counters
from include.quarry.limits.standing import Limit, Standing


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class WatchedCounters:
    """Counts in memory, which may answer late, or not at all."""

    def __init__(self) -> None:
        self.added: list[int] = []
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._counts = MemoryCounters()

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        self.added.append(amount)
        await self.gate.wait()
        if self.fails:
            raise Unavailable("down")
        return await self._counts.add(key, amount, expiry_s)


async def admitted(leases: Leases, limit: Limit, demand: int, tenant: str = "acme") -> int:
    """How many of the demanded requests come through, one after the other."""
    count = 0
    for _ in range(demand):
        try:
            await leases.take(tenant, limit)
        except TooManyRequests:
            continue
        count += 1
        await asyncio.sleep(0)  # a fetch ahead of need may run
    return count


@pytest.mark.parametrize("amount", [1, 2, 7, 64, 1000])
async def test_a_window_admits_its_amount_and_no_more(amount: int) -> None:
    clock, limit = Clock(), Limit("requests", amount, 2)
    leases = Leases(MemoryCounters(), clock=clock)
    for _ in range(3):
        assert await admitted(leases, limit, 2 * amount + 5) == amount
        clock.now += 2


@settings(max_examples=150, deadline=None)
@given(
    amount=st.integers(1, 300),
    replicas=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 80), st.sampled_from([0.0, 0.0, 0.3, 1.1])), max_size=30
    ),
)
async def test_replicas_together_never_admit_more_than_the_limit(
    amount: int, replicas: int, steps: list[tuple[int, int, float]]
) -> None:
    """Whatever the order of demand and of windows; and a window in which one replica was refused was used to nine
    tenths at least."""
    clock, limit, shared = Clock(), Limit("requests", amount, 1), MemoryCounters()
    several = [Leases(shared, clock=clock) for _ in range(replicas)]
    counts: dict[int, int] = {}
    refused: set[int] = set()
    for who, demand, passes_s in steps:
        window = int(clock.now)
        got = await admitted(several[who % replicas], limit, demand)
        counts[window] = counts.get(window, 0) + got
        if got < demand:
            refused.add(window)
        clock.now += passes_s
    assert all(count <= amount for count in counts.values())
    assert all(counts[window] >= 0.9 * amount for window in refused)


async def test_a_crowd_at_once_gets_exactly_what_there_is() -> None:
    leases, limit = Leases(MemoryCounters(), clock=Clock()), Limit("requests", 150, 1)
    outcomes = await asyncio.gather(*(leases.take("acme", limit) for _ in range(400)), return_exceptions=True)
    assert sum(isinstance(outcome, Standing) for outcome in outcomes) == 150
    assert sum(isinstance(outcome, TooManyRequests) for outcome in outcomes) == 250


async def test_the_shared_count_is_asked_far_more_seldom_than_requests_come() -> None:
    shared = WatchedCounters()
    clock, limit = Clock(), Limit("requests", 10_000, 2)
    leases = Leases(shared, clock=clock)
    for _ in range(2):
        shared.added.clear()
        assert await admitted(leases, limit, 1000) == 1000
        clock.now += 2
    assert len(shared.added) <= 40
    assert max(shared.added) <= 1000 // 16


async def test_what_is_left_of_a_block_is_void_in_the_next_window() -> None:
    shared, clock, limit = WatchedCounters(), Clock(), Limit("requests", 1000, 1)
    leases = Leases(shared, clock=clock)
    await admitted(leases, limit, 500)
    shared.fails, clock.now = True, clock.now + 1
    standing = await leases.take("acme", limit)
    assert standing.remaining == 999  # of its own count: no ticket was brought along
    assert not leases.is_shared


async def test_a_block_that_arrives_after_its_window_is_used_by_nobody() -> None:
    shared, clock, limit = WatchedCounters(), Clock(), Limit("requests", 2, 1)
    leases, other = Leases(shared, clock=clock), Leases(shared, clock=clock)
    shared.gate.clear()
    early = asyncio.create_task(leases.take("acme", limit))
    await asyncio.sleep(0)
    clock.now += 1
    late = asyncio.create_task(leases.take("acme", limit))  # begins the next window while the block is on its way
    await asyncio.sleep(0)
    shared.gate.set()
    await asyncio.gather(early, late)  # both by tickets of the present window
    with pytest.raises(TooManyRequests):
        await other.take("acme", limit)


async def test_tenants_and_limits_are_counted_apart() -> None:
    leases, few, more = Leases(MemoryCounters(), clock=Clock()), Limit("requests", 2, 1), Limit("requests", 3, 1)
    assert await admitted(leases, few, 9, "acme") == 2
    assert await admitted(leases, few, 9, "umbra") == 2
    assert await admitted(leases, more, 9, "acme") == 3


async def test_a_refusal_says_when_the_window_ends() -> None:
    leases, limit = Leases(MemoryCounters(), clock=Clock(1003.2)), Limit("requests", 1, 10)
    assert await leases.take("acme", limit) == Standing(limit, 0, 7)
    with pytest.raises(TooManyRequests, match=r"'acme' may use 1 requests in 10 s.* try again in 7 s") as refused:
        await leases.take("acme", limit)
    assert refused.value.retry_after_s == 7


async def test_when_nobody_counts_each_replica_counts_for_itself() -> None:
    shared, limit = WatchedCounters(), Limit("requests", 5, 1)
    shared.fails = True
    leases, other = (Leases(shared, when_down="open", clock=Clock()) for _ in range(2))
    assert await admitted(leases, limit, 20) == 5
    assert await admitted(other, limit, 20) == 5
    assert shared.added == [1, 1]  # and the shared counts are left alone


async def test_when_nobody_counts_nothing_is_admitted_if_so_set() -> None:
    shared, limit = WatchedCounters(), Limit("requests", 5, 1)
    shared.fails = True
    leases = Leases(shared, when_down="closed", clock=Clock())
    for _ in range(3):
        with pytest.raises(Unavailable, match="cannot be counted"):
            await leases.take("acme", limit)
    assert len(shared.added) == 1


@pytest.mark.parametrize("when_down", ["open", "closed"])
async def test_a_count_that_does_not_answer_holds_nobody_up(when_down: str) -> None:
    shared, limit = WatchedCounters(), Limit("requests", 5, 3600)
    shared.gate.clear()
    leases = Leases(shared, when_down="open" if when_down == "open" else "closed")
    async with asyncio.timeout(10):  # the gate stays closed: without an end to patience this waits for ever
        if when_down == "open":
            await leases.take("acme", limit)
        else:
            with pytest.raises(Unavailable):
                await leases.take("acme", limit)
    lease = leases._leases["acme", limit]
    assert lease.fetch
    shared.gate.set()
    assert await lease.fetch
    assert (lease.left, lease.debt) == ((0, 0) if when_down == "open" else (1, 0))  # what arrives late pays, or is used


async def test_what_was_admitted_uncounted_is_paid_for_in_the_same_window(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, limit, clock, before = WatchedCounters(), Limit("requests", 100, 1), Clock(), time.monotonic
    leases, other = Leases(shared, clock=clock), Leases(shared, clock=clock)
    shared.fails = True
    assert await admitted(leases, limit, 30) == 30
    shared.fails = False
    monkeypatch.setattr(time, "monotonic", lambda: before() + 1)
    assert await admitted(leases, limit, 10) + await admitted(other, limit, 200) == 70


async def test_requests_are_counted_together_again_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, limit = WatchedCounters(), Limit("requests", 10_000, 3600)
    shared.fails = True
    leases = Leases(shared)
    await leases.take("acme", limit)
    assert not leases.is_shared
    shared.fails, before = False, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: before() + 1)
    await leases.take("acme", limit)
    assert leases.is_shared


def test_the_counts_in_memory_are_a_port_like_any_other() -> None:
    counters: Counters = MemoryCounters()
    assert counters


async def test_leases_of_tenants_who_are_gone_are_forgotten() -> None:
    clock, limit = Clock(), Limit("requests", 5, 1)
    leases = Leases(MemoryCounters(), clock=clock)
    for number in range(100):
        await leases.take(f"tenant-{number}", limit)
    clock.now += 60
    await leases.take("acme", limit)
    assert len(leases._leases) == 1
