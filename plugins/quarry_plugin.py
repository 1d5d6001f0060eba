"""Registers Quarry with Airflow: the pool of Ray jobs, connections to brokers, links to the platform's other pages."""

import os
from typing import Any

import ray_job_pool
from airflow.plugins_manager import AirflowPlugin

from include.quarry.feeds.alarm import connections
from include.quarry.settings import Settings, load_settings


class QuarryPlugin(AirflowPlugin):
    """What Airflow reads; links and connections are filled in when it loads the plugin, in whatever composition."""

    name = "quarry"
    listeners: list[object] = [ray_job_pool]  # noqa: RUF012  Airflow declares it so
    external_views: list[dict[str, str]] = []  # noqa: RUF012

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        settings = load_settings()
        cls.external_views = list_pages(settings)
        os.environ.update(connections(settings.feeds))


def list_pages(settings: Settings) -> list[dict[str, str]]:
    """The platform's other pages, for the menu of the Airflow UI."""
    pages = {
        "Ask and retrieve (API)": f"{settings.http_url}/docs",
        "Ray jobs": f"{settings.ray_url}/#/jobs",
        "Relevance (MLflow)": settings.mlflow_url,
    }
    return [{"name": name, "href": href, "destination": "nav", "category": "browse"} for name, href in pages.items()]
