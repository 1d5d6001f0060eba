"""An installation of its own that is fed by a topic, with a live version that holds nothing yet."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from include.quarry.catalog.database import migrate
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.benchmarks.cluster import bench_settings
from tests.servers.kafka import kafka, make_topic

TOPIC = "notes"


@contextmanager
def streamed(folder: Path, name: str, partitions: int) -> Iterator[tuple[str, Settings]]:
    """The broker's address and the settings, with a home under `folder` and the models that all benchmarks share."""
    home, models = folder / name, folder / "home" / "models"
    rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models)
    with kafka() as broker:
        make_topic(broker, TOPIC, partitions)
        feeds = home / "feeds.yaml"
        feeds.write_text(json.dumps({"feeds": [{"kind": "kafka", "servers": broker, "topic": TOPIC}]}))
        settings = bench_settings(home).model_copy(update={"feeds": str(feeds)})
        migrate(settings.catalog_url)
        build_version("live", "main", settings.index_spec(), settings)
        promote("live", settings)
        yield broker, settings
    rmtree(home)
