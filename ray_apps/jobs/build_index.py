"""Build an index version from the log and the lake: nothing is embedded, parsed or lost on the way.

    python -m ray_apps.jobs.build_index --corpus main --spec default --version-id main-20260101

Registering the version comes first, so that documents accepted meanwhile are cut for its chunker too. The build then
follows the log like any replica does and writes a snapshot. Running it again continues from the newest snapshot.
"""

import json
import logging
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion, create_version, record_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import Follower
from include.quarry.settings import Settings, load_settings
from ray_apps.jobs.arguments import parse_arguments

logger = logging.getLogger(__name__)


class BuildIndex(BaseModel):
    """Arguments of the job."""

    model_config = ConfigDict(frozen=True)

    corpus: str = "main"
    spec: str = Field("default", description="index spec: `default`, or JSON")
    version_id: str = Field(min_length=1, max_length=120, pattern=r"^[a-z0-9][a-z0-9._-]*$")


def main() -> None:
    """Run as a job: arguments from the command line, everything else from the settings."""
    print(json.dumps(build(parse_arguments(BuildIndex, __doc__), load_settings())), flush=True)


def build(job: BuildIndex, settings: Settings) -> dict[str, str | int]:
    """Build, or bring up to date, one version. Raises `IncompleteIndex` while chunks wait for their vectors."""
    database = Database(settings.catalog_url)
    spec = settings.index_spec(job.spec)
    with database.write() as connection:
        version = create_version(connection, job.version_id, job.corpus, spec)
    cut = cut_again(database, job.corpus, make_chunker(spec.chunker))
    print(f"{cut} documents cut again for chunker {spec.chunker.fingerprint}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        index = _open(version, Path(scratch))
        waiting = Follower(database, VectorLake(database, settings.lake_uri), index, job.corpus).step()
        if waiting:
            raise IncompleteIndex(f"{waiting} documents of {job.corpus!r} wait for vectors; run embed_corpus first")
        chunk_count = sum(1 for _ in index.contents())
        folder = settings.home.absolute() / "indexes" / job.version_id / f"snapshot-{index.watermark}"
        index.save(folder)
    with database.write() as connection:
        record_snapshot(connection, job.version_id, str(folder), index.watermark, chunk_count)
    database.close()
    return {"version": job.version_id, "watermark": index.watermark, "chunks": chunk_count, "snapshot": str(folder)}


def _open(version: IndexVersion, scratch: Path) -> Index:
    if version.snapshot:
        return Index.load(Path(version.snapshot), scratch)
    return Index.create(version.spec, version.version_id, scratch)


if __name__ == "__main__":
    main()
