"""The application at /v1/retrieve. The longest matching prefix wins, so these requests take no further hop."""

from typing import cast

from pydantic import BaseModel
from ray.serve import Application

from include.quarry.settings import load_settings
from ray_apps.retrieval.deployment import RetrievalDeployment


class RetrievalApp(BaseModel):
    """Arguments of the application; scaling is set in the Serve config."""


def build_app(_arguments: RetrievalApp) -> Application:
    """Called by Serve with the `args` of its config."""
    return cast(Application, RetrievalDeployment.bind(load_settings()))  # type: ignore[attr-defined]
