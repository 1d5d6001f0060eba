"""Verdicts are kept by window; what was late is named until it has come, and not for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.quarry.drift.memory import LATE_WINDOWS, JudgedWindow, Memory
from include.quarry.drift.verdict import State, insufficient_data

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path, "main", "v1")


def keep(memory: Memory, day: int, waiting: int = 0, state: State | None = None) -> JudgedWindow:
    since = START + timedelta(days=day)
    judged = JudgedWindow(since, since + timedelta(days=1), insufficient_data("", state or State()), waiting)
    memory.keep(judged)
    return judged


def test_a_window_comes_back_as_it_was_and_is_replaced_when_judged_again(memory: Memory) -> None:
    first = keep(memory, 0, waiting=3)
    assert memory.history() == [first]
    assert memory.judged(first.until) == first
    again = keep(memory, 0)
    assert memory.history() == [again]


def test_a_window_that_overlaps_another_one_is_not_confirmed_by_it(memory: Memory) -> None:
    keep(memory, 0, state=State("watch"))
    assert memory.state(START + timedelta(hours=12)) == State()
    assert memory.state(START + timedelta(days=1)) == State("watch")


def test_windows_are_unfinished_from_the_first_on_that_documents_were_late_for(memory: Memory) -> None:
    windows = [keep(memory, day, waiting=day == 2) for day in range(5)]
    assert memory.unfinished(windows[-1].until) == windows[2:]
    assert memory.unfinished(windows[1].until) == []


def test_documents_are_not_waited_for_for_ever(memory: Memory) -> None:
    windows = [keep(memory, day, waiting=day == 0) for day in range(LATE_WINDOWS + 1)]
    assert memory.unfinished(windows[-1].until) == []
