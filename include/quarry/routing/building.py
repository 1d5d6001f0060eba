"""Building an index version from the log and the lake: nothing is embedded, parsed or lost on the way.

Registering the version comes first, so that documents accepted meanwhile are cut for its chunker too. The build then
follows the log like any replica does and writes a snapshot. Building a version again continues from its snapshot.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion, create_version, record_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import PATIENCE_S, Follower
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec
from include.quarry.stores.servers import StoreServers


def build_version(
    version_id: str,
    corpus: str,
    spec: IndexSpec,
    settings: Settings,
    *,
    patience_s: float = PATIENCE_S,
    applied: Callable[[int], None] | None = None,
) -> dict[str, str | int]:
    """Build a version, or bring it up to date; `applied` is told how many documents each batch had.

    Raises `IncompleteIndex` when chunks still wait for their vectors after `patience_s`: uploads get theirs meanwhile.
    """
    database = Database(settings.catalog_url)
    home = settings.home.absolute() / "indexes" / version_id
    home.mkdir(parents=True, exist_ok=True)
    with database.write() as connection:
        version = create_version(connection, version_id, corpus, spec)
    cut = cut_again(database, corpus, make_chunker(spec.chunker))
    with tempfile.TemporaryDirectory() as scratch:
        index = _open(version, Path(scratch), settings.store_servers)
        follower = Follower(database, VectorLake(database, settings.lake_uri), index, corpus, applied=applied)
        if waiting := follower.catch_up(patience_s):
            raise IncompleteIndex(f"{waiting} documents of {corpus!r} wait for vectors; run embed_corpus first")
        folder, chunk_count = follower.settled(lambda: _saved(index, home))
    with database.write() as connection:
        record_snapshot(connection, version_id, str(folder), index.watermark, chunk_count)
    database.close()
    return {"version": version_id, "watermark": index.watermark, "chunks": chunk_count, "documents_cut_again": cut}


def _saved(index: Index, home: Path) -> tuple[Path, int]:
    """The snapshot of this very state, and how many chunks it holds."""
    chunk_count = sum(1 for _ in index.contents())
    folder = home / f"snapshot-{index.watermark}"
    if not folder.exists():  # written whole or not at all, so one that is there is this very state
        index.save(folder)
    return folder, chunk_count


def _open(version: IndexVersion, scratch: Path, servers: StoreServers) -> Index:
    if version.snapshot:
        return Index.load(Path(version.snapshot), scratch, servers=servers)
    return Index.create(version.spec, version.version_id, scratch, servers=servers)
