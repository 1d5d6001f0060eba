"""The bodies of the routes that build and move index versions."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from include.quarry.gateway.schema import Body, Name


class BuildVersion(Body):
    """Which version to build."""

    corpus: Name = "main"
    spec: Annotated[str, StringConstraints(max_length=20_000)] | dict[str, Any] = Field(
        "live",
        description="`live` for the spec that answers now, a file of include/index_specs, or an object of parts with "
        "what differs from the default",
        examples=["int8_faiss", {"chunker": {"max_tokens": 128, "min_tokens": 24}}],
    )


class PromoteVersion(Body):
    """How to promote."""

    unchecked: bool = Field(False, description="without proving first that the version holds what the log says")


class StartedRun(BaseModel):
    """A run of Airflow that was started."""

    dag_id: str
    run_id: str
    state: str


class Version(BaseModel):
    """One index version and what it answers now."""

    version_id: str
    corpus: str
    state: str = Field(description="building, shadow, canary, live, retired or failed")
    spec: str = Field(description="name of the index spec, or its fingerprint where no file has it")
    fingerprint: str
    share: float = Field(description="share of the requests that it answers, 0 to 1")
    shadow_share: float = Field(description="share of the queries that it answers too, off the response path")
    previous: bool = Field(description="whether a rollback would make it live")
    watermark: int = Field(description="seq up to which its newest snapshot has applied the log")
    lag_changes: int | None = Field(description="changes since that snapshot; replicas that hold it are further on")
    chunks: int
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    reason: str = Field(description="why it failed or was taken back")


class Seen(BaseModel):
    """What was seen of a version while it was tried beside the live one."""

    queries: int
    failures: int
    overlap: float = Field(description="mean overlap@10 with the live version, 0 to 1")
    correlation: float = Field(description="mean rank correlation of the shared hits, -1 to 1")


class VersionDetail(Version):
    """One index version with its whole spec."""

    parts: dict[str, dict[str, Any]] = Field(description="every field of the index spec")
    seen: Seen


class Versions(BaseModel):
    """Index versions, newest first."""

    versions: list[Version]


class RouteNow(BaseModel):
    """Which version of a corpus answers, which one is tried, which one a rollback would make live."""

    corpus: str
    live_version: str
    previous_version: str | None
    canary_version: str | None
    canary_share: float
    shadow_version: str | None
    shadow_share: float
    revision: int = Field(description="grows with every change of the route")


class Promoted(BaseModel):
    """The route after a promotion, and the proof of completeness before it."""

    route: RouteNow
    proof: dict[str, str | int] | None = Field(description="watermark, chunks and digests; null when unchecked")
