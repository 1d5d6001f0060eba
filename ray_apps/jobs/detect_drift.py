"""Remember what a corpus holds, or hold what changed and what was asked between two times against what was.

python -m ray_apps.jobs.detect_drift --corpus main --from 2026-01-01 --to 2026-01-02
python -m ray_apps.jobs.detect_drift --corpus main --remember 1

The last line is the verdict as JSON.
"""

import json
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from include.quarry.catalog.database import Database
from include.quarry.drift.watching import DriftWatch
from include.quarry.embedding.engine import embedders
from include.quarry.errors import NotFound
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import load_settings
from ray_apps.jobs.arguments import parse_arguments

_EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NEVER = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


class DetectDrift(BaseModel):
    """Arguments of the job. The window is over the time of a change; open ends mean all of it."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    corpus: str = "main"
    remember: bool = Field(False, description="remember the content of the live version, and judge nothing")
    changed_from: datetime = Field(_EVER, alias="from")
    changed_until: datetime = Field(_NEVER, alias="to")


def main() -> None:
    """Run as a job: arguments from the command line, everything else from the settings."""
    job, settings = parse_arguments(DetectDrift, __doc__), load_settings()
    database = Database(settings.catalog_url)
    lake = VectorLake(database, settings.lake_uri)
    try:
        watch = DriftWatch(database, lake, settings.home.absolute(), job.corpus)
    except NotFound as error:
        print(f"nothing to judge: {error}", flush=True)
        return
    embedder = embedders(settings)(watch.version.spec.embedding)
    remembered = watch.remember(embedder)
    if job.remember:
        print(json.dumps({"corpus": job.corpus, "remembered": remembered}), flush=True)
        return
    print(json.dumps(watch.judge(embedder, job.changed_from, job.changed_until)), flush=True)


if __name__ == "__main__":
    main()
