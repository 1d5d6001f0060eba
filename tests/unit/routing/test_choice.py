"""Who is answered by the canary: the right share, and the same askers each time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.catalog.routes import Route
from include.quarry.routing.choice import choose_version, is_shadowed

ROUTE = Route("main", "live", "canary", 0.0, 1, None, None, 0.0)
SHARES = st.floats(0, 1)


@given(st.text(), st.text(), SHARES, SHARES)
def test_a_growing_share_keeps_everyone_it_had(tenant: str, query: str, one: float, other: float) -> None:
    small, large = sorted([one, other])
    if choose_version(replace(ROUTE, canary_share=small), tenant, query) == "canary":
        assert choose_version(replace(ROUTE, canary_share=large), tenant, query) == "canary"


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_the_share_of_requests_is_the_share_of_the_route(share: float) -> None:
    route = replace(ROUTE, canary_share=share)
    chosen = [choose_version(route, f"tenant{number % 7}", f"query {number}") for number in range(4000)]
    assert chosen.count("canary") / len(chosen) == pytest.approx(share, abs=0.025)


@given(st.text(), st.text())
def test_no_share_is_nobody_and_the_whole_share_is_everybody(tenant: str, query: str) -> None:
    assert choose_version(ROUTE, tenant, query) == "live"
    assert choose_version(replace(ROUTE, canary_share=1.0), tenant, query) == "canary"
    assert choose_version(replace(ROUTE, canary_version=None, canary_share=1.0), tenant, query) == "live"


def test_tenants_are_chosen_independently() -> None:
    route = replace(ROUTE, canary_share=0.5)
    chosen = {choose_version(route, f"tenant{number}", "the same question") for number in range(40)}
    assert chosen == {"live", "canary"}


def test_the_shadow_takes_other_requests_than_the_canary() -> None:
    route = replace(ROUTE, canary_share=0.5, shadow_version="shadow", shadow_share=0.5)
    both = [(choose_version(route, "t", str(n)) == "canary", is_shadowed(route, "t", str(n))) for n in range(400)]
    assert {(True, True), (True, False), (False, True), (False, False)} == set(both)
