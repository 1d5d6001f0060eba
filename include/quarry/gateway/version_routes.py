"""/v1/versions, and POST /v1/corpora/{corpus}/rollback: listing, building and moving index versions.

For administrators: versions belong to the installation and not to a tenant, so reading needs the scope `admin` too.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query

from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Because, Name, VersionId
from include.quarry.gateway.version_schema import (
    BuildVersion,
    Promoted,
    PromoteVersion,
    RouteNow,
    StartedRun,
    Version,
    VersionDetail,
    Versions,
)
from include.quarry.operations.airflow_api import DagRun

Corpus = Annotated[Name | None, Query(description="only versions of this corpus")]


class Desk(Protocol):
    """Whoever moves versions. Its verbs block, so the routes call them on threads of their own."""

    def listing(self, corpus: str | None = None) -> list[dict[str, Any]]:
        """The fields of `Version` each, newest first."""
        ...

    def show(self, version_id: str) -> dict[str, Any]:
        """The fields of `VersionDetail`; raises `NotFound`."""
        ...

    def start_build(self, corpus: str, spec: str | Mapping[str, Any]) -> DagRun:
        """Start the run that builds; raises `InvalidInput`, `NotFound` or `Unavailable`."""
        ...

    def promote(self, version_id: str, *, unchecked: bool = False) -> dict[str, Any]:
        """The fields of `Promoted`; raises `NotFound` or `Conflict`."""
        ...

    def roll_back(self, corpus: str, reason: str) -> dict[str, Any]:
        """The fields of `RouteNow`; raises `NotFound` or `Conflict`."""
        ...

    def retire(self, version_id: str) -> dict[str, Any]:
        """The fields of `VersionDetail`; raises `NotFound` or `Conflict`."""
        ...

    def refuse(self, version_id: str, reason: str) -> dict[str, Any]:
        """The fields of `VersionDetail`; raises `NotFound` or `Conflict`."""
        ...


def version_routes(desk: Desk, door: Door) -> APIRouter:
    """The routes over whoever moves versions."""
    router = APIRouter(tags=["index versions"], dependencies=[Depends(door.admits("admin"))])
    one_proof = asyncio.Lock()  # a proof holds a whole index in memory

    @router.get("/v1/versions", summary="Index versions, newest first")
    async def get_versions(corpus: Corpus = None) -> Versions:
        found = await asyncio.to_thread(desk.listing, corpus)
        return Versions(versions=[Version(**fields) for fields in found])

    @router.get("/v1/versions/{version_id}", summary="One index version with its whole spec")
    async def get_version(version_id: VersionId) -> VersionDetail:
        return VersionDetail(**await asyncio.to_thread(desk.show, version_id))

    @router.post("/v1/versions", status_code=202, summary="Start the Airflow run that builds a version")
    async def build_version(body: BuildVersion) -> StartedRun:
        started = await asyncio.to_thread(desk.start_build, body.corpus, body.spec)
        return StartedRun(dag_id=started.dag_id, run_id=started.run_id, state=started.state)

    @router.post("/v1/versions/{version_id}/promote", summary="Prove a version complete, then let it answer")
    async def promote_version(version_id: VersionId, body: PromoteVersion | None = None) -> Promoted:
        if body is not None and body.unchecked:
            return Promoted(**await asyncio.to_thread(desk.promote, version_id, unchecked=True))
        async with one_proof:
            return Promoted(**await asyncio.to_thread(desk.promote, version_id))

    @router.post("/v1/versions/{version_id}/retire", summary="End a version that does not answer, and remove its files")
    async def retire_version(version_id: VersionId) -> VersionDetail:
        return VersionDetail(**await asyncio.to_thread(desk.retire, version_id))

    @router.post("/v1/versions/{version_id}/refuse", summary="Take a version off its way: it has failed")
    async def refuse_version(version_id: VersionId, body: Because) -> VersionDetail:
        return VersionDetail(**await asyncio.to_thread(desk.refuse, version_id, body.reason))

    @router.post("/v1/corpora/{corpus}/rollback", summary="Let the version answer that was live before")
    async def roll_back(corpus: Name, body: Because) -> RouteNow:
        return RouteNow(**await asyncio.to_thread(desk.roll_back, corpus, body.reason))

    return router
