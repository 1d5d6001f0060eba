"""Registers Quarry with Airflow: the pool of Ray jobs, and links to the other pages of the platform."""

from typing import Any

import ray_job_pool
from airflow.plugins_manager import AirflowPlugin

from include.quarry.settings import Settings, load_settings


class QuarryPlugin(AirflowPlugin):
    """What Airflow reads; the links are filled in when it loads the plugin."""

    name = "quarry"
    listeners: list[object] = [ray_job_pool]  # noqa: RUF012  Airflow declares it so
    external_views: list[dict[str, str]] = []  # noqa: RUF012

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        cls.external_views = list_pages(load_settings())


def list_pages(settings: Settings) -> list[dict[str, str]]:
    """The platform's other pages, for the menu of the Airflow UI."""
    pages = {
        "Ask and retrieve (API)": f"{settings.http_url}/docs",
        "Ray jobs": f"{settings.ray_url}/#/jobs",
        "Relevance (MLflow)": settings.mlflow_url,
    }
    return [{"name": name, "href": href, "destination": "nav", "category": "browse"} for name, href in pages.items()]
