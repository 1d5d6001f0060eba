"""Shipping in a process of its own: beside requests, it would take the interpreter from them at every row.

It ships when it is told to, and tells how far it came: a line each way. When whoever started it is gone, so is it, and
what was left is adopted.
"""

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from include.quarry.audit.segments import Origin, Position, Segments
from include.quarry.audit.shipping import Shipper
from include.quarry.audit.sinks import SINKS
from include.quarry.catalog.database import Database

logger = logging.getLogger(__name__)
_REPOSITORY = Path(__file__).parents[3]
_NICE = 10  # requests first; but it holds the catalog's lock at times, so it must not starve


class ShippingProcess:
    """A `Shipper` elsewhere. One thread uses `try_step` and `close`; the others may be asked from any."""

    def __init__(self, journal: Origin, catalog_url: str) -> None:
        self._journal = journal
        self._catalog_url = catalog_url
        self._own = Segments(journal.folder, journal.writer)
        self._position = Position()
        self._shipped_at_s = time.monotonic()
        self._process: subprocess.Popen[str] | None = None

    def try_step(self) -> None:
        """Have it ship what there is, and wait for that. One that has died is started again."""
        looked_at_s = time.monotonic()
        try:
            told = self._tell_and_hear()
        except (OSError, ValueError) as error:
            logger.error("the process that ships the audit has ended (%s); it is started again", error)
            self.close()
            return
        self._position = Position(told["segment"], told["offset"])
        if told["done"]:
            self._shipped_at_s = looked_at_s

    def waiting_bytes(self) -> int:
        """How much of the journal is not in the catalog yet."""
        return self._own.waiting_bytes(self._position)

    def behind_s(self) -> float:
        """For how long, at most, entries have been waiting; 0 when none does."""
        return time.monotonic() - self._shipped_at_s if self.waiting_bytes() else 0.0

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
        self._process = None

    def _tell_and_hear(self) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write("ship\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def _start(self) -> subprocess.Popen[str]:
        """The catalog's URL goes through the pipe, since it may hold a password, and who looks sees command lines."""
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None  # noqa: S101
        journal = {"folder": str(self._journal.folder), "writer": self._journal.writer}
        process.stdin.write(json.dumps(journal | {"catalog_url": self._catalog_url}) + "\n")
        return process


def main() -> None:
    """The other side: ship at every line, until there are none or nobody hears."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.nice(_NICE)
    journal = json.loads(sys.stdin.readline())
    database = Database(journal["catalog_url"])
    shipper = Shipper(Origin(Path(journal["folder"]), journal["writer"]), database, SINKS)
    for _ in sys.stdin:
        done = shipper.try_step()
        try:
            os.write(sys.stdout.fileno(), json.dumps({"done": done, **asdict(shipper.position)}).encode() + b"\n")
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
