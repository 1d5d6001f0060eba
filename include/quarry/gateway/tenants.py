"""Which tenant a request speaks for."""

from typing import Annotated

from fastapi import Header

from include.quarry.feeds.keys import check_name


async def tenant_of(
    x_quarry_tenant: Annotated[str, Header(description="tenant; tokens will name it")] = "default",
) -> str:
    """The tenant named by the header. Raises `InvalidInput` when it is no name."""
    return check_name("tenant", x_quarry_tenant)
