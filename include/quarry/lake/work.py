"""What indexing did, and what it was spared: counted in the process that does it, by corpus."""

import threading
from collections import Counter, defaultdict

KINDS = ("embedded", "reused", "skipped")
"""Texts that were embedded; passages of changed documents whose vectors were there already; documents that were offered
again as they are."""
Counts = dict[str, Counter[str]]


class Work:
    """Counts by corpus and kind. Safe to share between threads."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._turn = threading.Lock()

    def add(self, corpus: str, kind: str, count: int = 1) -> None:
        """Count some of one kind."""
        if count:
            with self._turn:
                self._counts[corpus][kind] += count

    def give_back(self, counts: Counts) -> None:
        """Count again what was taken and could not be told."""
        for corpus, kinds in counts.items():
            for kind, count in kinds.items():
                self.add(corpus, kind, count)

    def take(self) -> Counts:
        """All that was counted since the last call."""
        with self._turn:
            taken, self._counts = dict(self._counts), defaultdict(Counter)
        return taken
