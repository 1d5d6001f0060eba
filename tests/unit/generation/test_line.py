"""The order inside a class: fair between tenants, urgent ones first, and a flood takes places from itself alone."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.errors import Full
from include.quarry.generation.line import NEWCOMERS, Line

PLACES = 6
TENANTS = "abc"


@dataclass(eq=False)
class Who:
    tenant: str
    due_s: float


def fill(places: int, *who: Who) -> Line[Who]:
    line: Line[Who] = Line(places)
    for each in who:
        line.add(each)
    return line


def serve(line: Line[Who]) -> Who:
    first = line.first()
    line.remove(first)
    line.serve(first.tenant)
    return first


def drain(line: Line[Who]) -> list[Who]:
    return [serve(line) for _ in range(len(line))]


def test_the_earliest_deadline_goes_first() -> None:
    late, soon, later = Who("a", 30), Who("b", 10), Who("c", 40)
    assert drain(fill(9, late, soon, later)) == [soon, late, later]


def test_a_tenants_own_requests_go_by_their_deadlines() -> None:
    late, soon = Who("a", 30), Who("a", 10)
    assert drain(fill(9, late, soon)) == [soon, late]


def test_tenants_take_turns_however_much_one_of_them_asks() -> None:
    flood = [Who("flood", 1) for _ in range(8)]
    other = [Who("a", 90), Who("b", 95), Who("a", 91)]
    order = [who.tenant for who in drain(fill(20, *flood, *other))]
    assert order == ["flood", "a", "b", "flood", "a", *["flood"] * 6]


def test_ever_new_tenants_do_not_hold_up_one_that_waits() -> None:
    line = fill(20, Who("a", 1), Who("a", 10), Who("new", 5))
    serve(line)
    order = []
    for number in range(NEWCOMERS + 10):
        line.add(Who(f"new {number}", 6 + number))
        order.append(serve(line).tenant)
    assert order.index("a") <= NEWCOMERS


def test_tenants_that_came_and_went_are_forgotten() -> None:
    line = fill(5)
    for number in range(500):
        line.add(Who(f"t{number}", number))
        serve(line)
    assert len(line._rounds) <= 2 * NEWCOMERS


def test_a_tenant_with_fewer_requests_takes_a_place_of_the_one_with_the_most() -> None:
    flood = [Who("flood", number) for number in range(PLACES)]
    line = fill(PLACES, *flood)
    with pytest.raises(Full, match="places of this class"):
        line.add(Who("flood", 0))
    assert line.add(Who("a", 100)) is flood[-1]
    assert len(line) == PLACES


def test_where_all_have_the_same_the_newcomer_has_to_go() -> None:
    line = fill(3, *[Who(tenant, 1) for tenant in TENANTS])
    with pytest.raises(Full):
        line.add(Who("d", 1))


Arrivals = st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(0, 9), st.booleans()), max_size=60)


@given(Arrivals)
def test_a_tenant_below_its_share_of_the_places_is_never_refused(arrivals: list[tuple[str, int, bool]]) -> None:
    line: Line[Who] = Line(PLACES)
    waiting: list[Who] = []
    for tenant, due_s, serves in arrivals:
        who = Who(tenant, due_s)
        mine = sum(each.tenant == tenant for each in waiting)
        try:
            loser = line.add(who)
        except Full:
            assert mine >= PLACES // len(TENANTS)
        else:
            waiting.append(who)
            if loser:
                assert sum(each.tenant == loser.tenant for each in waiting) > PLACES // len(TENANTS)
                waiting.remove(loser)
        assert len(line) == len(waiting) <= PLACES
        if serves and waiting:
            waiting.remove(serve(line))


def test_many_tenants_that_always_wait_have_as_many_turns_each() -> None:
    line = fill(10_000, *[Who(f"t{tenant}", number) for tenant in range(40) for number in range(20)])
    turns = Counter(serve(line).tenant for _ in range(40 * 10))
    assert max(turns.values()) - min(turns.values()) <= 2  # they do not all begin in the same round
    line.add(Who("new", 10**9))
    assert "new" in [serve(line).tenant for _ in range(41)]


@given(Arrivals)
def test_between_two_turns_of_a_tenant_that_waits_each_other_has_at_most_two(
    arrivals: list[tuple[str, int, bool]],
) -> None:
    line: Line[Who] = Line(100)
    since: dict[str, Counter[str]] = {}
    for tenant, due_s, serves in arrivals:
        line.add(Who(tenant, due_s))
        since.setdefault(tenant, Counter())
        if not serves:
            continue
        served = serve(line).tenant
        for other, turns in since.items():
            turns[served] += other != served
            assert max(turns.values(), default=0) <= 2, since
        del since[served]
        if any(who.tenant == served for mine in line._waiting.values() for who in mine):
            since[served] = Counter()
