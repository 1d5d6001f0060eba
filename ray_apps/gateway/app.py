"""The application at /: the gateway, with the indexing deployment and the two tiers behind it."""

from typing import cast

from pydantic import BaseModel
from ray.serve import Application

from include.quarry.gateway.composition import open_door
from include.quarry.settings import load_settings
from ray_apps.gateway.deployment import GatewayDeployment
from ray_apps.generation.deployment import TierDeployment
from ray_apps.indexing.deployment import IndexingDeployment


class GatewayApp(BaseModel):
    """Arguments of the application; scaling is set in the Serve config."""


def build_app(_arguments: GatewayApp) -> Application:
    """Called by Serve with the `args` of its config. Raises `Misconfigured` for a front door that is not safe."""
    settings = load_settings()
    open_door(settings)  # a door that would let strangers in stops the start, here and not in every replica
    indexing = IndexingDeployment.bind(settings)  # type: ignore[attr-defined]
    fast = TierDeployment.options(name="Fast").bind(settings, "fast")  # type: ignore[attr-defined]
    deep = TierDeployment.options(name="Deep").bind(settings, "deep")  # type: ignore[attr-defined]
    return cast(Application, GatewayDeployment.bind(settings, indexing, fast, deep))  # type: ignore[attr-defined]
