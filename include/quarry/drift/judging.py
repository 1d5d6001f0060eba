"""Judging a window in its turn: those before it that documents were late for come first."""

from collections.abc import Callable
from datetime import datetime

from include.quarry.drift.detection import detect
from include.quarry.drift.memory import JudgedWindow, Memory
from include.quarry.drift.reference import Reference
from include.quarry.drift.window import Window
from include.quarry.records import Vectors


def judge_due(
    memory: Memory,
    reference: Reference,
    read: Callable[[datetime, datetime], Window],
    sentinels: Vectors,
    *,
    since: datetime,
    until: datetime,
) -> None:
    """Judge what `read` finds in `[since, until)`, and keep the verdict.

    A document is judged with the window that it changed in. If it had no vector yet when that window was judged, the
    window is judged again, and with it every later one; after some windows (`LATE_WINDOWS`) it is waited for no longer.
    """
    for begin, end in [*((late.since, late.until) for late in memory.unfinished(since)), (since, until)]:
        window = read(begin, end)
        verdict = detect(reference, window, sentinels, memory.state(begin))
        memory.keep(JudgedWindow(begin, end, verdict, window.waiting))
