"""GET /v1/audit: who read and changed what. For administrators, over all tenants; asking is on record too."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from include.quarry.audit.lookup import AuditDesk, Wanted
from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Name


def _in_range(when: datetime) -> datetime:
    if not 1970 <= when.year < 9999:
        raise ValueError("a time between the years 1970 and 9998 is needed")
    return when


Text = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
When = Annotated[AwareDatetime, AfterValidator(_in_range)]


class AuditEntry(BaseModel):
    """One record. It is the `number`-th of its `writer`, one serving process in one life."""

    writer: str
    number: int
    at: datetime
    tenant: str | None = Field(description="null when the caller showed no valid token")
    subject: str | None
    action: str = Field(description="method and path of the route")
    status: int = Field(description="of the response; 499 when the caller left before it")
    query_id: str | None
    hash: str = Field(description="SHA-256 of the record, which holds the hash of its writer's record before")
    facts: dict[str, Any] = Field(description="corpus, index_version, watermark, chunks, documents, usage, …")


class AuditPage(BaseModel):
    """Records, newest first."""

    records: list[AuditEntry]
    next: str | None = Field(description="cursor of the page after this one; null at the end")


def audit_routes(audit: AuditDesk, door: Door) -> APIRouter:
    """The route over whoever looks records up."""
    router = APIRouter(tags=["audit"], dependencies=[Depends(door.admits("admin"))])

    @router.get("/v1/audit", summary="Who read and changed what, newest first")
    async def get_audit(
        *,
        tenant: Annotated[Name | None, Query(description="only what callers of this tenant did")] = None,
        subject: Annotated[Text | None, Query(description="only what this subject did")] = None,
        query_id: Annotated[Text | None, Query(description="only this request")] = None,
        since: Annotated[When | None, Query(description="only from this time on")] = None,
        until: Annotated[When | None, Query(description="only before this time")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="how many at most")] = 100,
        cursor: Annotated[Text | None, Query(description="`next` of the page before")] = None,
    ) -> AuditPage:
        wanted = Wanted(tenant, subject, query_id, since, until)
        records, following = await asyncio.to_thread(audit.page, wanted, limit, cursor)
        return AuditPage(records=[AuditEntry(**fields) for fields in records], next=following)

    return router
