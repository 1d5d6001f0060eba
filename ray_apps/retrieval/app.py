"""The application at /v1/retrieve. The longest matching prefix wins, so these requests take no further hop."""

from typing import cast

from pydantic import BaseModel, Field
from ray.serve import Application

from include.quarry.gateway.composition import open_door
from include.quarry.settings import load_settings
from ray_apps.retrieval.deployment import RetrievalDeployment
from ray_apps.retrieval.shards import ShardsDeployment


class RetrievalApp(BaseModel):
    """Arguments of the application; scaling is set in the Serve config, of groups too, by their names `Shards-0`, …"""

    shard_groups: int = Field(0, ge=0, le=64, description="deployments that hold shards; with 0 each replica holds all")


def build_app(arguments: RetrievalApp) -> Application:
    """Called by Serve with the `args` of its config. Raises `Misconfigured` for a front door that is not safe."""
    settings, count = load_settings(), arguments.shard_groups
    open_door(settings)  # a door that would let strangers in stops the start, here and not in every replica
    groups = [
        ShardsDeployment.options(name=f"Shards-{group}").bind(settings, group, count)  # type: ignore[attr-defined]
        for group in range(count)
    ]
    return cast(Application, RetrievalDeployment.bind(settings, *groups))  # type: ignore[attr-defined]
