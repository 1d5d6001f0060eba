"""GET /v1/usage."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Name
from include.quarry.gateway.usage_schema import TenantUsage
from include.quarry.gateway.visit import Visit
from include.quarry.limits.report import UsageReport

Tenant = Annotated[Name | None, Query(description="whose usage; another tenant's needs the scope `admin`")]
Days = Annotated[int, Query(ge=1, le=366, description="how many days, today among them")]


def usage_routes(report: UsageReport, door: Door) -> APIRouter:
    """The route over what the catalog knows. Whoever may retrieve may see what its tenant used."""
    router = APIRouter(tags=["operations"])
    admitted = Depends(door.admits("retrieve"))

    @router.get("/v1/usage", summary="What a tenant used, day by day, and what it may")
    async def get_usage(visit: Annotated[Visit, admitted], tenant: Tenant = None, days: Days = 7) -> TenantUsage:
        caller = visit.caller
        if tenant is None or tenant == caller.tenant:
            return TenantUsage(**await asyncio.to_thread(report.of, caller.tenant, caller.plan, days))
        caller.require("admin")
        return TenantUsage(**await asyncio.to_thread(report.of, tenant, None, days))

    return router
