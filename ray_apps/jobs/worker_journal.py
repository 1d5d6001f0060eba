"""What the workers of a backfill did, one file a worker, so that a worker's sudden end loses no line of it.

Events: `started` (node, node_class), `begun` (unit), `ended` (unit, kept, found, discarded, engine_s), `noticed`.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class WorkerJournal:
    """The journal of one worker. Each line is appended whole, from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, event: str, **facts: Any) -> None:
        """Append one event."""
        line = json.dumps({"event": event, "at": time.time(), **facts}, separators=(",", ":"))
        os.write(self._file, f"{line}\n".encode())


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one worker; `at` is in seconds since the epoch, by the clock of the worker's node."""

    worker: str
    event: str
    at: float
    facts: dict[str, Any]


def read_journals(folder: Path) -> Iterator[Entry]:
    """The entries of all workers below the folder. A line that its worker did not finish is left out."""
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                facts = json.loads(line)
                yield Entry(path.stem, facts.pop("event"), facts.pop("at"), facts)
