"""What GET /v1/usage answers."""

from datetime import date

from pydantic import BaseModel, Field


class PlanLimits(BaseModel):
    """What a tenant may use. Rates and quotas are per tenant, whoever of it asks."""

    requests_per_s: int
    burst_s: int = Field(description="that many seconds' worth of requests may come at once")
    tokens_per_day: int = Field(description="prompt and completion tokens, UTC days")
    documents: int = Field(description="at once, in all corpora")


class TierUsage(BaseModel):
    """What one tier, or all of them, used for a tenant."""

    answers: int
    tokens: int
    prompt_tokens: int
    completion_tokens: int
    engine_s: float = Field(description="seconds for which an engine was held")
    cost: float


class DayUsage(TierUsage):
    """What a tenant used on one day, UTC."""

    day: date
    requests: int
    refused: int = Field(description="requests beyond a limit")
    documents: int = Field(description="uploads that were accepted")
    tiers: dict[str, TierUsage]


class TenantUsage(BaseModel):
    """What a tenant used, today first, as far as the catalog knows: about a second behind."""

    tenant: str
    limits: PlanLimits | None = Field(description="of the plan that the caller's token names; null for other tenants")
    documents_held: int
    days: list[DayUsage]
