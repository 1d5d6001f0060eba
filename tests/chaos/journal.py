"""An embedder that keeps a journal of its calls, in a file that survives the process.

Each line is written with one append: `event pid time hash,hash,...`. `begin` stands before the engine works, `done`
when it has the vectors, `held` and `freed` around the time in which a file named `hold` beside the journal keeps it
inside the engine, so that a test can kill a process at a known moment.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from include.quarry.records import Vectors, hash_text
from include.quarry.specs import EmbeddingSpec, IndexSpec

SPEC = IndexSpec(embedding=EmbeddingSpec(model="journal", dimensions=8))
_HOLD_POLL_S = 0.02


class Entry(NamedTuple):
    """One line of the journal."""

    event: str
    pid: int
    at: float
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal in a folder, for the test that reads it."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "journal"

    def entries(self) -> list[Entry]:
        if not self.path.exists():
            return []
        rows = [line.split(" ") for line in self.path.read_text().splitlines()]
        return [Entry(event, int(pid), float(at), tuple(hashes.split(","))) for event, pid, at, hashes in rows]

    def count(self, event: str) -> int:
        return sum(entry.event == event for entry in self.entries())

    def pids(self, event: str) -> list[int]:
        """Who wrote such a line, each once, in order."""
        return list(dict.fromkeys(entry.pid for entry in self.entries() if entry.event == event))

    def embedded(self, but_by: Collection[int] = ()) -> Counter[str]:
        """How often the engine finished each text, in processes other than those named."""
        done = (entry for entry in self.entries() if entry.event == "done" and entry.pid not in but_by)
        return Counter(text for entry in done for text in entry.hashes)

    def hold(self, texts: Collection[str] = ()) -> None:
        """Keep every engine inside its next call, or only inside one with any of these texts, until `let_go`."""
        written = self.folder / "hold.new"
        written.write_text(" ".join(texts))
        written.replace(self.folder / "hold")

    def is_held(self, texts: Collection[str]) -> bool:
        """Whether a call with these texts has to stay."""
        try:
            held = set((self.folder / "hold").read_text().split())
        except FileNotFoundError:
            return False
        return not held or not held.isdisjoint(texts)

    def let_go(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)


class JournalEmbedder:
    """Vectors that depend on every character; each call takes `call_s` seconds, as an engine would."""

    spec = SPEC.embedding
    fingerprint = SPEC.embedding.fingerprint

    def __init__(self, folder: Path, call_s: float) -> None:
        self._folder = folder
        self._call_s = call_s

    def encode(self, texts: Sequence[str]) -> Vectors:
        hashes = [hash_text(text) for text in texts]
        self._note("begin", hashes)
        journal = Journal(self._folder)
        if journal.is_held(hashes):
            self._note("held", hashes)
            while journal.is_held(hashes):
                time.sleep(_HOLD_POLL_S)
            self._note("freed", hashes)
        time.sleep(self._call_s)
        vectors = Vectors(self.fingerprint, np.stack([vector_of(text) for text in texts]))
        self._note("done", hashes)
        return vectors

    def _note(self, event: str, hashes: Sequence[str]) -> None:
        line = f"{event} {os.getpid()} {time.time():.4f} {','.join(hashes)}\n".encode()
        journal = os.open(self._folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(journal, line)
        finally:
            os.close(journal)


def vector_of(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """float32 `[d]`, of length one."""
    row = np.frombuffer(sha256(text.encode()).digest(), np.uint32).astype(np.float32) - np.float32(2**31)
    return (row / np.linalg.norm(row)).astype(np.float32)


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = 240.0) -> None:
    """Poll a condition; fails with what was awaited."""
    ends_at = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > ends_at:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.02)
