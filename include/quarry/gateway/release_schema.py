"""The bodies of the routes that move generation releases."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from include.quarry.gateway.schema import Body, Printable, VersionId
from include.quarry.generation.protocol import Tier

Template = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")]


class CreateRelease(Body):
    """A model with a prompt, by which a tier can answer. What is left out is as the settings say."""

    tier: Tier
    model: Annotated[Printable, Field(min_length=1)] | None = Field(
        None, description="a packaged name, a GGUF file on the server, or the name that the tier's server knows it by"
    )
    template: Template | None = Field(
        None, description="a system part, a line `---`, and a user part with $passages and $question"
    )
    release_id: VersionId | None = Field(None, description="default: tier, prompt and time")


class TryRelease(Body):
    """How to try a release."""

    share: float = Field(ge=0, le=1, description="of the tier's requests; with 0 it is loaded and answers nothing")
    unchecked: bool = Field(False, description="without a pass of the gate against the live release")


class PromoteRelease(Body):
    """How to promote."""

    unchecked: bool = Field(False, description="without a pass of the gate against the live release")


class ReleaseNow(BaseModel):
    """One release and what it answers now."""

    release_id: str = Field(description="`default` for what the settings say")
    tier: Tier
    model: str
    prompt_version: str = Field(description="beginning of the SHA-256 of its wording")
    state: str = Field(description="created, canary, live, retired or failed")
    share: float = Field(description="share of the tier's requests that it answers, 0 to 1")
    previous: bool = Field(description="whether a rollback would make it live")
    passed_against: str | None = Field(description="the release that the gate found it not to be worse than")
    created_at: datetime
    reason: str = Field(description="why it failed or was taken back")


class ReleaseDetail(ReleaseNow):
    """One release with its prompt."""

    template: str


class CreatedRelease(ReleaseDetail):
    """The release; `mlflow` as in `MovedRelease`."""

    mlflow: str


class Releases(BaseModel):
    """Releases, newest first."""

    releases: list[ReleaseNow]


class ReleaseRouteNow(BaseModel):
    """Which release of a tier answers, which one is tried, which one a rollback would make live."""

    tier: Tier
    live_release: str
    previous_release: str | None
    canary_release: str | None
    canary_share: float
    revision: int = Field(description="grows with every change of the route")


class MovedRelease(BaseModel):
    """The route after a move."""

    route: ReleaseRouteNow
    mlflow: str = Field(description="why MLflow's registries do not hold it yet; empty where they do")
