"""Index versions and routes. Promotion is one row: a reader sees the old route or the new one, never a mixture."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.quarry.catalog.schema import documents, index_versions, routes
from include.quarry.errors import Conflict, NotFound
from include.quarry.specs import ChunkerSpec, IndexSpec

State = Literal["building", "shadow", "canary", "live", "retired", "failed"]
IN_USE: tuple[State, ...] = ("building", "shadow", "canary", "live", "retired")


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """One built index of one index spec. `snapshot` is a folder that holds it up to `watermark`; empty at first."""

    version_id: str
    corpus: str
    spec: IndexSpec
    state: State
    watermark: int
    snapshot: str
    chunk_count: int
    created_at: datetime
    promoted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Route:
    """Which version answers for a corpus. `revision` grows with every change of the route."""

    corpus: str
    live_version: str
    canary_version: str | None
    canary_share: float
    revision: int


def create_version(connection: sa.Connection, version_id: str, corpus: str, spec: IndexSpec) -> IndexVersion:
    """Register a version that is about to be built; asking again for the same one returns it.

    Raises `Conflict` when the id is taken by another corpus or spec.
    """
    present = connection.execute(
        sa.select(index_versions).where(index_versions.c.version_id == version_id)
    ).one_or_none()
    if present is None:
        values = {
            "state": "building",
            "watermark": 0,
            "snapshot": "",
            "chunk_count": 0,
            "created_at": datetime.now(UTC),
        }
        row = {"version_id": version_id, "corpus": corpus, "spec": spec.to_json(), **values}
        connection.execute(sa.insert(index_versions).values(**row))
    elif (present.corpus, present.spec) != (corpus, spec.to_json()):
        raise Conflict(
            f"index version {version_id!r} exists for corpus {present.corpus!r} with another spec; take a new id"
        )
    return find_version(connection, version_id)


def find_version(connection: sa.Connection, version_id: str) -> IndexVersion:
    """The version; raises `NotFound`."""
    row = connection.execute(sa.select(index_versions).where(index_versions.c.version_id == version_id)).one_or_none()
    if row is None:
        raise NotFound(f"no index version {version_id!r}; `GET /v1/status` lists those there are")
    return _version(row)


def list_versions(connection: sa.Connection, corpus: str | None = None) -> list[IndexVersion]:
    """Versions of one corpus, or of all, newest first."""
    query = sa.select(index_versions).order_by(index_versions.c.created_at.desc())
    if corpus is not None:
        query = query.where(index_versions.c.corpus == corpus)
    return [_version(row) for row in connection.execute(query)]


def record_snapshot(connection: sa.Connection, version_id: str, folder: str, watermark: int, chunk_count: int) -> None:
    """Note that a snapshot now holds the version up to `watermark`; a version that was building becomes `shadow`."""
    is_it = index_versions.c.version_id == version_id
    values = {"snapshot": folder, "watermark": watermark, "chunk_count": chunk_count}
    connection.execute(sa.update(index_versions).where(is_it).values(**values))
    set_state(connection, version_id, "shadow", only_from="building")


def set_state(connection: sa.Connection, version_id: str, state: State, *, only_from: State | None = None) -> None:
    """Move a version to a state, or, with `only_from`, only if it stands in that one."""
    statement = sa.update(index_versions).where(index_versions.c.version_id == version_id)
    if only_from is not None:
        statement = statement.where(index_versions.c.state == only_from)
    connection.execute(statement.values(state=state))


def find_route(connection: sa.Connection, corpus: str) -> Route | None:
    """The corpus's route; None before its first promotion."""
    row = connection.execute(sa.select(routes).where(routes.c.corpus == corpus)).one_or_none()
    return None if row is None else Route(*row)


def make_live(connection: sa.Connection, version_id: str) -> Route:
    """Point the corpus's route at a version; the one that was live is retired. Raises `Conflict` without a snapshot."""
    version = find_version(connection, version_id)
    if not version.snapshot:
        raise Conflict(
            f"index version {version_id!r} is {version.state} and has no snapshot; build it before promoting it"
        )
    before = find_route(connection, version.corpus)
    if before is None:
        first = {"live_version": version_id, "canary_version": None, "canary_share": 0.0, "revision": 1}
        connection.execute(sa.insert(routes).values(corpus=version.corpus, **first))
    elif before.live_version != version_id:
        values = {
            "live_version": version_id,
            "canary_version": None,
            "canary_share": 0.0,
            "revision": before.revision + 1,
        }
        connection.execute(sa.update(routes).where(routes.c.corpus == version.corpus).values(**values))
        set_state(connection, before.live_version, "retired")
    promoted = {"state": "live", "promoted_at": datetime.now(UTC)}
    connection.execute(sa.update(index_versions).where(index_versions.c.version_id == version_id).values(**promoted))
    route = find_route(connection, version.corpus)
    assert route is not None  # noqa: S101 - written above, in this transaction
    return route


def _version(row: sa.Row[*tuple[Any, ...]]) -> IndexVersion:
    fields = row._asdict()
    return IndexVersion(**(fields | {"spec": IndexSpec.from_json(fields["spec"])}))


def chunkers_of(connection: sa.Connection, corpus: str) -> list[ChunkerSpec]:
    """The chunkers that must cut every document of the corpus: the default one, and those of its versions in use."""
    in_use = sa.and_(index_versions.c.corpus == corpus, index_versions.c.state.in_(IN_USE))
    documents = connection.scalars(sa.select(index_versions.c.spec).where(in_use).distinct())
    chunkers = {IndexSpec.from_json(document).chunker for document in documents}
    return sorted({ChunkerSpec(), *chunkers}, key=lambda spec: spec.fingerprint)


def list_corpora(connection: sa.Connection) -> list[str]:
    """Every corpus that holds, or held, documents."""
    return list(connection.scalars(sa.select(documents.c.corpus).distinct().order_by(documents.c.corpus)))


def live_spec(connection: sa.Connection, corpus: str) -> IndexSpec | None:
    """The spec of the version that answers for the corpus; None before its first promotion."""
    route = find_route(connection, corpus)
    return None if route is None else find_version(connection, route.live_version).spec
