"""What a cache is worth and what it holds, on Ray's Prometheus endpoint."""

import threading
from dataclasses import asdict

from ray.util.metrics import Counter, Gauge

from include.quarry.cache.counts import Counts
from include.quarry.cache.memory import MemoryCache

_REPORT_EVERY_S = 5.0
_SAYS = {
    "hits": "Requests answered from the cache",
    "misses": "Requests that the cache could not answer",
    "collapsed": "Misses that waited for an equal one",
    "skipped": "Requests that went past the cache",
    "stored": "Results kept",
    "unstored": "Results not kept, since what they were read from changed meanwhile",
    "checked": "Hits held against the index",
    "stale": "Hits that showed what the index does not hold; must stay 0",
    "failures": "Times that the shared cache did not answer in time",
    "rests": "Times that the shared cache was not asked, having failed a moment before",
}


class CacheMetrics:
    """Reports the counts of one cache until the process ends. `of` says what is kept."""

    def __init__(self, of: str, counts: Counts, memory: MemoryCache) -> None:
        self._tags = {"of": of}
        self._counts = counts
        self._memory = memory
        self._told = asdict(Counts())
        self._counters = {name: Counter(f"quarry_cache_{name}", says, ("of",)) for name, says in _SAYS.items()}
        self._bytes = Gauge("quarry_cache_bytes", "Memory that this process's part of the cache takes", ("of",))
        self._entries = Gauge("quarry_cache_entries", "Results in this process's part of the cache", ("of",))
        threading.Thread(target=self._report_for_ever, name="cache-metrics", daemon=True).start()

    def report(self) -> None:
        """Tell what changed since the last time."""
        now = asdict(self._counts)
        for name, counter in self._counters.items():
            if now[name] > self._told[name]:
                counter.inc(now[name] - self._told[name], self._tags)
        self._told = now
        self._bytes.set(self._memory.size_bytes, self._tags)
        self._entries.set(self._memory.entries, self._tags)

    def _report_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_EVERY_S):
            self.report()
