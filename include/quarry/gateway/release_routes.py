"""/v1/releases, and POST /v1/tiers/{tier}/rollback: models and prompts of tiers. For administrators, as versions."""

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query

from include.quarry.gateway.door import Door
from include.quarry.gateway.release_schema import (
    CreatedRelease,
    CreateRelease,
    MovedRelease,
    PromoteRelease,
    ReleaseDetail,
    ReleaseNow,
    Releases,
    TryRelease,
)
from include.quarry.gateway.schema import Because, VersionId
from include.quarry.generation.protocol import Tier

OfTier = Annotated[Tier | None, Query(description="only releases of this tier")]


class Desk(Protocol):
    """Whoever moves releases. Its verbs block, so the routes call them on threads of their own."""

    def listing(self, tier: Tier | None = None) -> list[dict[str, Any]]:
        """The fields of `ReleaseNow` each, newest first."""
        ...

    def show(self, release_id: str) -> dict[str, Any]:
        """The fields of `ReleaseDetail`; raises `NotFound`."""
        ...

    def create(
        self, tier: Tier, *, model: str | None = None, template: str | None = None, release_id: str | None = None
    ) -> dict[str, Any]:
        """The fields of `CreatedRelease`; raises `InvalidInput` or `Conflict`."""
        ...

    def canary(self, release_id: str, share: float, *, unchecked: bool = False) -> dict[str, Any]:
        """The fields of `MovedRelease`; raises `NotFound` or `Conflict`."""
        ...

    def promote(self, release_id: str, *, unchecked: bool = False) -> dict[str, Any]:
        """The fields of `MovedRelease`; raises `NotFound` or `Conflict`."""
        ...

    def roll_back(self, tier: Tier, reason: str) -> dict[str, Any]:
        """The fields of `MovedRelease`; raises `Conflict`."""
        ...

    def refuse(self, release_id: str, reason: str) -> dict[str, Any]:
        """The fields of `MovedRelease`; raises `NotFound` or `Conflict`."""
        ...


def release_routes(desk: Desk, door: Door) -> APIRouter:
    """The routes over whoever moves releases."""
    router = APIRouter(tags=["generation releases"], dependencies=[Depends(door.admits("admin"))])

    @router.get("/v1/releases", summary="Generation releases, newest first")
    async def get_releases(tier: OfTier = None) -> Releases:
        found = await asyncio.to_thread(desk.listing, tier)
        return Releases(releases=[ReleaseNow(**fields) for fields in found])

    @router.get("/v1/releases/{release_id}", summary="One release with its prompt")
    async def get_release(release_id: VersionId) -> ReleaseDetail:
        return ReleaseDetail(**await asyncio.to_thread(desk.show, release_id))

    @router.post("/v1/releases", status_code=201, summary="Register a model with a prompt")
    async def create_release(body: CreateRelease) -> CreatedRelease:
        what = body.model_dump(exclude={"tier"})
        return CreatedRelease(**await asyncio.to_thread(desk.create, body.tier, **what))

    @router.post("/v1/releases/{release_id}/canary", summary="Let a release answer a share of the requests")
    async def try_release(release_id: VersionId, body: TryRelease) -> MovedRelease:
        moved = await asyncio.to_thread(desk.canary, release_id, body.share, unchecked=body.unchecked)
        return MovedRelease(**moved)

    @router.post("/v1/releases/{release_id}/promote", summary="Let a release answer for its tier")
    async def promote_release(release_id: VersionId, body: PromoteRelease | None = None) -> MovedRelease:
        unchecked = body is not None and body.unchecked
        return MovedRelease(**await asyncio.to_thread(desk.promote, release_id, unchecked=unchecked))

    @router.post("/v1/releases/{release_id}/refuse", summary="Take a release off its way: it has failed")
    async def refuse_release(release_id: VersionId, body: Because) -> MovedRelease:
        return MovedRelease(**await asyncio.to_thread(desk.refuse, release_id, body.reason))

    @router.post("/v1/tiers/{tier}/rollback", summary="Let the release answer that was live before")
    async def roll_back(tier: Tier, body: Because) -> MovedRelease:
        return MovedRelease(**await asyncio.to_thread(desk.roll_back, tier, body.reason))

    return router
