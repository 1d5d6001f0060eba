"""What a command shows while it works: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)

_PLAIN_INTERVAL_S = 10.0


class Phase:
    """A step of a command, with its duration and, where there is something to count, count, rate and time left."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._start = time.monotonic()
        self._shown = self._start
        self._first: tuple[float, int] | None = None
        self._status = console.status(title) if console.is_terminal else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """Show how things stand. Without a terminal at most one line in ten seconds."""
        line = f"{self.title}: {text} ({self.elapsed_s:.0f} s)"
        if self._status:
            self._status.update(line)
        elif time.monotonic() - self._shown >= _PLAIN_INTERVAL_S:
            self._shown = time.monotonic()
            console.print(f"   {line}")

    def count(self, done: int, total: int, unit: str) -> None:
        """Show `done` of `total`, the rate since work first moved and the time that is left at that rate."""
        now = time.monotonic()
        if self._first is None or done == self._first[1]:
            self._first = (now, done)
        self.say(f"{done} of {total} {unit}{pace(done - self._first[1], now - self._first[0], total - done)}")


def pace(advance: int, elapsed_s: float, remaining: int) -> str:
    """`, 12.0/s, 30 s left`, or nothing while no rate is known."""
    if advance <= 0 or elapsed_s <= 0:
        return ""
    rate = advance / elapsed_s
    return f", {rate:.1f}/s, {max(remaining, 0) / rate:.0f} s left"


@contextmanager
def phase(title: str) -> Iterator[Phase]:
    """Show a phase while the block runs; a line with its duration remains."""
    step = Phase(title)
    if step._status:
        step._status.start()
    finished = False
    try:
        yield step
        finished = True
    finally:
        if step._status:
            step._status.stop()
        mark = "[green]✓[/]" if finished else "[red]✗[/]"
        console.print(f"{mark} {title}  [dim]{step.elapsed_s:.1f} s[/]")
        sys.stdout.flush()
