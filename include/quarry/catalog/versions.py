"""Index versions: what was built, from which spec, and how far it stands on its way.

    building -> shadow -> canary -> live -> retired      failed: taken off the way, with the reason

A retired version keeps its snapshot, and follows the log, until its retention ends; then the snapshot is gone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.quarry.catalog.schema import documents, index_versions
from include.quarry.errors import Conflict, NotFound
from include.quarry.specs import ChunkerSpec, IndexSpec

State = Literal["building", "shadow", "canary", "live", "retired", "failed"]
CANDIDATE: tuple[State, ...] = ("shadow", "canary")
_ON_THE_WAY: tuple[State, ...] = ("building", "shadow", "canary", "live")


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """One built index of one index spec.

    `snapshot` is a folder that holds it up to `watermark`; empty before the build and after the retention. `reason`
    says why it failed or was taken back.
    """

    version_id: str
    corpus: str
    spec: IndexSpec
    state: State
    watermark: int
    snapshot: str
    chunk_count: int
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    reason: str

    @property
    def taken_back(self) -> bool:
        """Whether it was live, and a rollback took it off."""
        return self.state == "retired" and self.reason != ""

    @property
    def in_use(self) -> bool:
        """Whether documents are cut and embedded for it: it answers, may come to answer, or may again."""
        return self.state in _ON_THE_WAY or (self.state == "retired" and self.snapshot != "")


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
            "reason": "",
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


def replace_snapshot(
    connection: sa.Connection, version: IndexVersion, folder: str, watermark: int, chunk_count: int
) -> bool:
    """Put a newer snapshot in the place of the one that `version` says; false when another is there by now, or none."""
    is_it = sa.and_(index_versions.c.version_id == version.version_id, index_versions.c.snapshot == version.snapshot)
    values = {"snapshot": folder, "watermark": watermark, "chunk_count": chunk_count}
    return connection.execute(sa.update(index_versions).where(is_it).values(**values)).rowcount == 1


def set_state(
    connection: sa.Connection, version_id: str, state: State, *, only_from: State | None = None, reason: str = ""
) -> None:
    """Move a version to a state, or, with `only_from`, only if it stands in that one."""
    statement = sa.update(index_versions).where(index_versions.c.version_id == version_id)
    if only_from is not None:
        statement = statement.where(index_versions.c.state == only_from)
    values: dict[str, Any] = {"state": state, "reason": reason}
    if state == "live":
        values["promoted_at"] = datetime.now(UTC)
    if state in ("retired", "failed"):
        values["retired_at"] = datetime.now(UTC)
    connection.execute(statement.values(**values))


def forget_snapshot(connection: sa.Connection, version_id: str) -> None:
    """Note that a version can no longer answer; whoever calls removes the folder."""
    connection.execute(sa.update(index_versions).where(index_versions.c.version_id == version_id).values(snapshot=""))


def _version(row: sa.Row[*tuple[Any, ...]]) -> IndexVersion:
    fields = row._asdict()
    return IndexVersion(**(fields | {"spec": IndexSpec.from_json(fields["spec"])}))


def chunkers_of(connection: sa.Connection, corpus: str) -> list[ChunkerSpec]:
    """The chunkers that must cut every document of the corpus: the default one, and those of its versions in use."""
    chunkers = {version.spec.chunker for version in list_versions(connection, corpus) if version.in_use}
    return sorted({ChunkerSpec(), *chunkers}, key=lambda spec: spec.fingerprint)


def list_corpora(connection: sa.Connection) -> list[str]:
    """Every corpus that holds, or held, documents."""
    return list(connection.scalars(sa.select(documents.c.corpus).distinct().order_by(documents.c.corpus)))
