"""Little at a time while little comes, more while there is a backlog."""

from include.quarry.feeds.pace import Pace


def test_a_backlog_grows_the_pull_up_to_its_bound() -> None:
    pace = Pace(least=16, most=100)
    for limit in (32, 64, 100, 100):
        pace.pulled(pace.limit)
        assert pace.limit == limit


def test_calm_shrinks_it_again_down_to_its_bound() -> None:
    pace = Pace(least=16, most=100)
    for _ in range(3):
        pace.pulled(pace.limit)
    for limit in (50, 25, 16, 16):
        pace.pulled(0)
        assert pace.limit == limit


def test_a_pull_that_is_neither_full_nor_nearly_empty_is_left_as_it_is() -> None:
    pace = Pace(least=16, most=100)
    pace.pulled(12)
    assert pace.limit == 16
