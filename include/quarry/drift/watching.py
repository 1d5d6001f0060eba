"""Watching a corpus: remember its content when a version is promoted, and hold each window against that."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import find_route, list_routes
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.drift.content import large_tenants, read_content, read_window
from include.quarry.drift.detection import MIN_DOCUMENTS
from include.quarry.drift.judging import judge_due
from include.quarry.drift.memory import QUERIES, WHOLE, JudgedWindow, Memory, tenant_part
from include.quarry.drift.query_watch import QueryWatch
from include.quarry.drift.reference import remember
from include.quarry.drift.remedy import Remedy, choose_remedy, query_remedy
from include.quarry.drift.sentinels import SENTINELS
from include.quarry.drift.verdict import Verdict
from include.quarry.drift.window import Window
from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import NotFound
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings

_LEAST_DOCUMENTS = 2 * MIN_DOCUMENTS
"""Half of a reference is held out, and that half must be enough to compare with."""
_UNJUDGED: dict[str, Any] = {"judged": False, "outcome": "insufficient_data"}


class DriftWatch:
    """Judges one corpus by what its live version was promoted with, and its queries by the first ones after that."""

    def __init__(self, database: Database, lake: VectorLake, home: Path, corpus: str) -> None:
        """Raises `NotFound` when no version of the corpus is live."""
        with database.read() as connection:
            route = find_route(connection, corpus)
            if route is None:
                raise NotFound(f"corpus {corpus!r} has no live index version, so nothing to have drifted from")
            self.version: IndexVersion = find_version(connection, route.live_version)
        self._database, self._lake, self._home, self._corpus = database, lake, home, corpus
        promoted_at = self.version.promoted_at or self.version.created_at
        self.queries = QueryWatch(database, self._memory(QUERIES), corpus, promoted_at)

    def memory(self, tenant: str | None = None) -> Memory:
        """Where the live version's references and verdicts about documents are."""
        return self._memory(WHOLE if tenant is None else tenant_part(tenant))

    def window(self, since: datetime, until: datetime, tenant: str | None = None) -> Window:
        """What changed in `[since, until)`, in the live version's space."""
        return read_window(
            self._database, self._lake, self._corpus, self.version.spec, since=since, until=until, tenant=tenant
        )

    def remember(self, embedder: Embedder) -> list[str]:
        """Keep a reference of what the corpus, and each large tenant, holds now; gives what was remembered.

        A reference that is there stays, and one that would be too small to compare with is not made.
        """
        sentinels, kept = embedder.encode(SENTINELS), []
        for tenant in (None, *large_tenants(self._database, self._corpus)):
            memory = self.memory(tenant)
            if memory.reference is not None:
                continue
            content = read_content(self._database, self._lake, self._corpus, self.version.spec, tenant)
            if content.document_count >= _LEAST_DOCUMENTS:
                now = datetime.now(UTC)
                memory.remember(remember(content, sentinels, corpus=self._corpus, tenant=tenant, made_at=now))
                kept.append(tenant or "corpus")
        return kept

    def judge(self, embedder: Embedder, since: datetime, until: datetime) -> dict[str, Any]:
        """Judge what changed and what was asked in `[since, until)`, and keep the verdicts; gives the summary."""
        sentinels = embedder.encode(SENTINELS)
        for tenant in self._remembered():
            memory = self.memory(tenant)
            reference = memory.reference
            assert reference is not None  # noqa: S101 - `_remembered` gives those that have one
            judge_due(memory, reference, partial(self.window, tenant=tenant), sentinels, since=since, until=until)
        self.queries.judge(embedder, sentinels, since, until)
        return self.summary(until)

    def summary(self, until: datetime) -> dict[str, Any]:
        """The verdict about the window that ended then, its remedy, each large tenant's outcome, and the queries."""
        found = {tenant: judged for tenant in self._remembered() if (judged := self.memory(tenant).judged(until))}
        return {
            "corpus": self._corpus,
            "version": self.version.version_id,
            **_said(found.pop(None, None), choose_remedy),
            "tenants": {tenant: judged.verdict.outcome for tenant, judged in found.items()},
            "queries": _said(self.queries.memory.judged(until), query_remedy),
        }

    def _memory(self, part: str) -> Memory:
        return Memory(self._home, self._corpus, self.version.version_id, part)

    def _remembered(self) -> Iterator[str | None]:
        for tenant in (None, *large_tenants(self._database, self._corpus)):
            if self.memory(tenant).reference is not None:
                yield tenant


def watched_corpora(settings: Settings) -> list[str]:
    """The corpora that can have drifted: those that an index version answers for."""
    database = Database(settings.catalog_url)
    try:
        with database.read() as connection:
            return sorted(list_routes(connection))
    finally:
        database.close()


def verdict_of(corpus: str, until: datetime, settings: Settings) -> dict[str, Any]:
    """The summary of the window that ended then; without a live version nothing was judged."""
    database = Database(settings.catalog_url)
    try:
        lake = VectorLake(database, settings.lake_uri)
        return DriftWatch(database, lake, settings.home.absolute(), corpus).summary(until)
    except NotFound as error:
        return {"corpus": corpus, **_UNJUDGED, "queries": _UNJUDGED, "reason": str(error)}
    finally:
        database.close()


def _said(judged: JudgedWindow | None, remedy_of: Callable[[Verdict], Remedy]) -> dict[str, Any]:
    if judged is None:
        return _UNJUDGED
    verdict = judged.verdict
    remedy = asdict(remedy_of(verdict))
    return {"judged": True, "outcome": verdict.outcome, "reasons": list(verdict.reasons), "remedy": remedy}
