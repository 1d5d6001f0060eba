"""Build an index version, or bring it up to date, each shard by a task of its own.

    python -m ray_apps.jobs.build_index --corpus main --spec default --version-id main-20260101

Vectors come from the lake and texts from the log. A run that was killed goes on with the shards that are missing.
"""

import json
import logging
import os
from functools import partial

import ray
from pydantic import BaseModel, ConfigDict, Field

from include.quarry.catalog.database import opened
from include.quarry.catalog.updates import Follow, count_chunks
from include.quarry.routing.building import build_version, home_of
from include.quarry.settings import Settings, load_settings
from include.quarry.specs import IndexSpec
from ray_apps.jobs.arguments import chosen_spec, parse_arguments
from ray_apps.jobs.shard_tasks import build_on_ray


class BuildIndex(BaseModel):
    """Arguments of the job."""

    model_config = ConfigDict(frozen=True)

    corpus: str = "main"
    spec: str = Field("live", description="index spec: `live` for the live version's, a name, or JSON")
    version_id: str = Field(min_length=1, max_length=120, pattern=r"^[a-z0-9][a-z0-9._-]*$")


def main() -> None:
    """Run as a job: arguments from the command line, everything else from the settings."""
    job, settings = parse_arguments(BuildIndex, __doc__), load_settings()
    ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, logging_level=logging.WARNING)
    with opened(settings.catalog_url) as database:
        spec = chosen_spec(job.spec, job.corpus, database, settings)
    print(json.dumps(run(job, settings, spec)), flush=True)


def run(job: BuildIndex, settings: Settings, spec: IndexSpec) -> dict[str, str | int]:
    """Build the version on the cluster that this process is connected to; see `build_version`."""
    tallies = home_of(job.version_id, settings) / "tallies"
    each_shard = partial(build_on_ray, tallies=tallies, total_chunks=partial(_total_chunks, job.corpus, settings, spec))
    return build_version(job.version_id, job.corpus, spec, settings, each_shard=each_shard)


def _total_chunks(corpus: str, settings: Settings, spec: IndexSpec) -> int:
    with opened(settings.catalog_url) as database, database.read() as connection:
        return count_chunks(connection, Follow(corpus, spec.chunker.fingerprint, spec.embedding.fingerprint))


if __name__ == "__main__":
    main()
