"""Watching what people ask: the first queries after a promotion are remembered, and later ones held against them."""

from datetime import UTC, datetime
from functools import partial

from include.quarry.catalog.database import Database
from include.quarry.drift.judging import judge_due
from include.quarry.drift.memory import Memory
from include.quarry.drift.queries import embed_queries, read_queries
from include.quarry.drift.reference import remember
from include.quarry.drift.window import MAX_DOCUMENTS, Window
from include.quarry.embedding.protocol import Embedder
from include.quarry.records import Vectors

LEAST_QUERIES = 200
"""Different ones that are remembered: half of them are held out, and fewer than a hundred show little."""
_MOST_QUERIES = 2000


class QueryWatch:
    """Judges the queries of one corpus by those that came first after its live version was promoted."""

    def __init__(self, database: Database, memory: Memory, corpus: str, promoted_at: datetime) -> None:
        self.memory = memory
        self._database, self._corpus, self._promoted_at = database, corpus, promoted_at

    def window(self, embedder: Embedder, since: datetime, until: datetime) -> Window:
        """What was asked in `[since, until)`: at most as many queries as a window is judged by."""
        asked = read_queries(self._database, self._corpus, since, until, most=MAX_DOCUMENTS)
        return Window(embed_queries(asked, embedder), since, until)

    def texts(self, since: datetime, until: datetime) -> dict[str, str]:
        """The same queries' texts by the names that they have in the window."""
        asked = read_queries(self._database, self._corpus, since, until, most=MAX_DOCUMENTS)
        return {query.name: query.text for query in asked}

    def judge(self, embedder: Embedder, sentinels: Vectors, since: datetime, until: datetime) -> None:
        """Judge what was asked in `[since, until)`, as far as it came after what is remembered.

        Before enough was asked to remember, and in the window in which that comes to pass, nothing is judged.
        """
        reference = self.memory.reference
        if reference is None:
            self._remember(embedder, sentinels, min(until, datetime.now(UTC)))
        elif until > reference.made_at:
            begin, read = max(since, reference.made_at), partial(self.window, embedder)
            judge_due(self.memory, reference, read, sentinels, since=begin, until=until)

    def _remember(self, embedder: Embedder, sentinels: Vectors, until: datetime) -> None:
        asked = read_queries(self._database, self._corpus, self._promoted_at, until, most=_MOST_QUERIES)
        if len(asked) >= LEAST_QUERIES:
            texts = embed_queries(asked, embedder)
            self.memory.remember(remember(texts, sentinels, corpus=self._corpus, made_at=until, subject="queries"))
