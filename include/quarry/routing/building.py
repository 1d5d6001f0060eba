"""Building an index version from the log and the lake: nothing is embedded, parsed or lost on the way.

Registering the version comes first, so that documents accepted meanwhile are cut for its chunker too. Each shard then
follows the log like any replica does and is written as a snapshot; see `sharding`. Shards are built here one after
another, or wherever `each_shard` sends them. Building a version again continues from its snapshot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from include.quarry.catalog.database import opened
from include.quarry.catalog.updates import Takes
from include.quarry.catalog.versions import IndexVersion, create_version, record_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import PATIENCE_S, Applied, Follower
from include.quarry.routing.sharding import BuiltShard, assemble, build_shard, finished_shards
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec


class BuildOne(Protocol):
    """Builds one shard of a version, in any process: it can be sent to another."""

    def __call__(self, number: int, *, applied: Applied | None = None) -> BuiltShard:
        """Raises what `build_version` raises."""
        ...


EachShard = Callable[[BuildOne, Sequence[int], Mapping[int, BuiltShard]], None]
"""Has the shards of these numbers built; those in the mapping are finished already."""


def build_version(
    version_id: str,
    corpus: str,
    spec: IndexSpec,
    settings: Settings,
    *,
    patience_s: float = PATIENCE_S,
    applied: Applied | None = None,
    each_shard: EachShard | None = None,
) -> dict[str, str | int]:
    """Build a version, or bring it up to date.

    Raises `IncompleteIndex` when chunks still wait for their vectors after `patience_s`: uploads get theirs meanwhile.
    """
    home = home_of(version_id, settings)
    with opened(settings.catalog_url) as database, being_built(home):
        with database.write() as connection:
            version = create_version(connection, version_id, corpus, spec)
        cut = cut_again(database, corpus, make_chunker(spec.chunker))
        done = finished_shards(version, home)
        missing = [number for number in range(spec.shards.count) if number not in done]
        build_one = partial(_build_one, version, settings, patience_s)
        if each_shard:
            each_shard(build_one, missing, done)
        else:
            for number in missing:
                build_one(number, applied=applied)
        folder, watermark, chunk_count = assemble(version, home)
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


def _build_one(
    version: IndexVersion, settings: Settings, patience_s: float, number: int, *, applied: Applied | None = None
) -> BuiltShard:
    with opened(settings.catalog_url) as database:
        lake = VectorLake(database, settings.lake_uri)

        def caught_up(index: Index, takes: Takes) -> Follower:
            follower = Follower(database, lake, index, version.corpus, takes=takes, applied=applied)
            if waiting := follower.catch_up(patience_s):
                raise IncompleteIndex(
                    f"{waiting} documents of {version.corpus!r} wait for vectors; run embed_corpus first"
                )
            return follower

        home = home_of(version.version_id, settings)
        return build_shard(version, number, home, settings.store_servers, caught_up)
