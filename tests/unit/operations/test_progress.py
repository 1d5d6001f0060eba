from hypothesis import given
from hypothesis import strategies as st

from include.quarry.operations.progress import pace, phase


@given(st.integers(1, 10**6), st.floats(0.001, 10**5), st.integers(0, 10**6))
def test_the_time_left_is_what_remains_at_the_rate_so_far(advance, elapsed_s, remaining):
    rate, left = pace(advance, elapsed_s, remaining).strip(", ").split(", ")
    assert rate == f"{advance / elapsed_s:.1f}/s"
    assert left == f"{remaining / (advance / elapsed_s):.0f} s left"


def test_no_rate_is_claimed_before_there_is_one():
    assert pace(0, 1.0, 10) == ""
    assert pace(5, 0.0, 10) == ""


def test_a_phase_that_fails_says_so(capsys):
    try:
        with phase("boil the sea"):
            raise ValueError
    except ValueError:
        pass
    assert "✗ boil the sea" in capsys.readouterr().out


def test_a_phase_that_succeeds_leaves_its_duration(capsys):
    with phase("light a candle"):
        pass
    assert "✓ light a candle" in capsys.readouterr().out
