"""Building an index version from the log and the lake: nothing is embedded, parsed or lost on the way.

Registering the version comes first, so that documents accepted meanwhile are cut for its chunker too. The build then
follows the log like any replica does and writes a snapshot. Building a version again continues from its snapshot.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from include.quarry.catalog.database import opened
from include.quarry.catalog.versions import IndexVersion, create_version, record_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import PATIENCE_S, Follower, Takes, everything
from include.quarry.routing.sharding import CaughtUp, Save, build_shards
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
    home = home_of(version_id, settings)
    with opened(settings.catalog_url) as database, being_built(home):
        with database.write() as connection:
            version = create_version(connection, version_id, corpus, spec)
        cut = cut_again(database, corpus, make_chunker(spec.chunker))
        lake = VectorLake(database, settings.lake_uri)

        def caught_up(index: Index, takes: Takes) -> Follower:
            follower = Follower(database, lake, index, corpus, takes=takes, applied=applied)
            if waiting := follower.catch_up(patience_s):
                raise IncompleteIndex(f"{waiting} documents of {corpus!r} wait for vectors; run embed_corpus first")
            return follower

        folder, watermark, chunk_count = write_snapshot(version, home, settings.store_servers, caught_up)
        with database.write() as connection:
            record_snapshot(connection, version_id, str(folder), watermark, chunk_count)
    return {"version": version_id, "watermark": watermark, "chunks": chunk_count, "documents_cut_again": cut}


def home_of(version_id: str, settings: Settings) -> Path:
    """The folder that a version's snapshots lie in."""
    return settings.home.absolute() / "indexes" / version_id


@contextmanager
def being_built(home: Path) -> Iterator[None]:
    """One process at a time writes snapshots of a version; another waits, and one that dies lets go."""
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        yield


def write_snapshot(
    version: IndexVersion, home: Path, servers: StoreServers, caught_up: CaughtUp, save: Save = Index.save
) -> tuple[Path, int, int]:
    """Go on from the version's snapshot, or from nothing; gives the new one's folder, its watermark and its chunks."""
    if version.spec.shards.count > 1:
        return build_shards(version, home, servers, caught_up, save)
    with tempfile.TemporaryDirectory() as scratch:
        index = _open(version, Path(scratch), servers)
        follower = caught_up(index, everything)
        return follower.settled(lambda: _saved(index, home, save))


def _saved(index: Index, home: Path, save: Save) -> tuple[Path, int, int]:
    """The snapshot of this very state, its watermark, and how many chunks it holds."""
    chunk_count = sum(1 for _ in index.contents())
    folder = home / f"snapshot-{index.watermark}"
    if not folder.exists():  # written whole or not at all, so one that is there is this very state
        save(index, folder)
    return folder, index.watermark, chunk_count


def _open(version: IndexVersion, scratch: Path, servers: StoreServers) -> Index:
    if version.snapshot:
        return Index.load(Path(version.snapshot), scratch, servers=servers)
    return Index.create(version.spec, version.version_id, scratch, servers=servers)
