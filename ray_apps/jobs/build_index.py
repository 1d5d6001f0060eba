"""Build an index version, or bring it up to date.

python -m ray_apps.jobs.build_index --corpus main --spec default --version-id main-20260101
"""

import json

from pydantic import BaseModel, ConfigDict, Field

from include.quarry.catalog.database import Database
from include.quarry.routing.building import build_version
from include.quarry.settings import load_settings
from ray_apps.jobs.arguments import chosen_spec, parse_arguments


class BuildIndex(BaseModel):
    """Arguments of the job."""

    model_config = ConfigDict(frozen=True)

    corpus: str = "main"
    spec: str = Field("live", description="index spec: `live` for the live version's, a name, or JSON")
    version_id: str = Field(min_length=1, max_length=120, pattern=r"^[a-z0-9][a-z0-9._-]*$")


def main() -> None:
    """Run as a job: arguments from the command line, everything else from the settings."""
    job, settings = parse_arguments(BuildIndex, __doc__), load_settings()
    database = Database(settings.catalog_url)
    spec = chosen_spec(job.spec, job.corpus, database, settings)
    database.close()
    built = build_version(job.version_id, job.corpus, spec, settings)
    print(json.dumps(built), flush=True)


if __name__ == "__main__":
    main()
