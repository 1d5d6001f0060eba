"""Building a version with people looking on: documents cut, texts embedded, documents indexed, rate and time left."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from include.quarry.catalog.columns import same_document
from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import chunks, documents
from include.quarry.errors import Unavailable
from include.quarry.lake.pending import count_texts
from include.quarry.operations.progress import Phase, phase
from include.quarry.routing.building import build_version
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec

_LOOK_EVERY_S = 1.0


class BuildProgress:
    """How far a build is; `applied` is called by the build, `look` by whoever watches."""

    def __init__(self, database: Database, corpus: str, spec: IndexSpec, step: Phase) -> None:
        self._database = database
        self._corpus = corpus
        self._spec = spec
        self._step = step
        self._indexed = 0

    def applied(self, documents: int, _chunks: int) -> None:
        """So many documents more are in the index."""
        self._indexed += documents

    def look(self) -> None:
        """Show the count of what the build is at; nothing while the catalog is busy."""
        with suppress(Unavailable), self._database.read() as connection:
            self._step.count(*self._at(connection))

    def _at(self, connection: sa.Connection) -> tuple[int, int, str]:
        """(done, total, unit)"""
        chunker, space = self._spec.chunker.fingerprint, self._spec.embedding.fingerprint
        total = _count(connection, self._corpus)
        if self._indexed:
            return min(self._indexed, total), total, "documents indexed"
        cut = _count(connection, self._corpus, chunker)
        if cut < total:
            return cut, total, "documents cut"
        return *count_texts(connection, self._corpus, chunker, space), "texts have vectors"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look again and again while the block runs."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK_EVERY_S):
                self.look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def build_watched(version_id: str, corpus: str, spec: IndexSpec, settings: Settings) -> dict[str, str | int]:
    """`build_version` with its progress on the terminal. Raises what it raises."""
    database = Database(settings.catalog_url)
    try:
        with phase(f"build {version_id}") as step:
            progress = BuildProgress(database, corpus, spec, step)
            with progress.watching():
                return build_version(version_id, corpus, spec, settings, applied=progress.applied)
    finally:
        database.close()


def _count(connection: sa.Connection, corpus: str, chunker: str | None = None) -> int:
    """Living documents of the corpus; with `chunker`, those that it has cut."""
    d = documents.c
    query = sa.select(sa.func.count()).select_from(documents).where(d.corpus == corpus, ~d.deleted)
    if chunker is not None:
        query = query.where(sa.exists().where(same_document(chunks, documents), chunks.c.chunker == chunker))
    return int(connection.scalar(query) or 0)
