"""What the lake needs every night: unused vectors go, then what is left is compacted."""

from dataclasses import asdict
from typing import Any

from include.quarry.catalog.database import opened
from include.quarry.lake.compaction import compact_lake
from include.quarry.lake.unused import remove_unused
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings


def keep_lake(settings: Settings) -> dict[str, Any]:
    """Do both; gives how many vectors were unused and removed, and what was moved in each space."""
    with opened(settings.catalog_url) as database:
        lake = VectorLake(database, settings.lake_uri)
        swept = remove_unused(database, lake, settings.unused_vector_grace_s)
        return {**asdict(swept), "compacted": [asdict(done) for done in compact_lake(database, lake)]}
