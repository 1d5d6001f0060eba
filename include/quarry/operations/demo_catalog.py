"""The questions that the demonstration asks the catalog: how many, how far, which."""

from importlib.metadata import distributions
from pathlib import Path

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.quarantine import count_quarantine
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.schema import documents as document_table
from include.quarry.catalog.versions import list_versions
from include.quarry.lake.pending import count_texts
from include.quarry.specs import IndexSpec


def offered(source: str) -> int:
    """About how many documents a source offers: a bound for a progress display, not a promise."""
    if source == "environment:":
        return sum(1 for _ in distributions())
    return sum(1 for path in Path(source).rglob("*") if path.is_file())


def documents(database: Database, corpus: str) -> int:
    """How many documents the corpus holds."""
    living = sa.and_(document_table.c.corpus == corpus, document_table.c.deleted == sa.false())
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(document_table).where(living)) or 0)


def quarantined(database: Database, corpus: str) -> int:
    """How many documents could not be parsed."""
    with database.read() as connection:
        return count_quarantine(connection, corpus)


def embedded(database: Database, corpus: str, spec: IndexSpec) -> tuple[int, int]:
    """(texts with a vector, all texts)."""
    with database.read() as connection:
        return count_texts(connection, corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)


def live_version(database: Database, corpus: str) -> str | None:
    """The version that answers, or None before the first."""
    with database.read() as connection:
        route = find_route(connection, corpus)
    return route.live_version if route else None


def building(database: Database, corpus: str) -> str:
    """How the newest version stands."""
    with database.read() as connection:
        versions = list_versions(connection, corpus)
    if not versions:
        return "no version yet"
    newest = max(versions, key=lambda version: version.created_at)
    return f"{newest.version_id} is {newest.state}"


def titles(database: Database, corpus: str, folder: str) -> list[str]:
    """Titles of the documents below a folder, the newest changes first."""
    below = document_table.c.uri.startswith(Path(folder).as_uri() + "/", autoescape=True)
    newest = (
        sa.select(document_table.c.title)
        .where(document_table.c.corpus == corpus, document_table.c.deleted == sa.false(), below)
        .order_by(document_table.c.seq.desc())
        .limit(50)
    )
    with database.read() as connection:
        return [title for (title,) in connection.execute(newest)]
