"""Building a version shard by shard: one shard in memory at a time, and a build that died goes on with the next."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from include.quarry.catalog.versions import IndexVersion
from include.quarry.retrieval.index import Index, watermark_of
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.placement import shard_of
from include.quarry.retrieval.sharded import parts_of, seal, shard_name, shard_version
from include.quarry.routing.follower import Follower, Takes
from include.quarry.stores.servers import StoreServers

CaughtUp = Callable[[Index, Takes], Follower]
"""Brings an index to the head of the log with the updates that it takes."""
Save = Callable[[Index, Path], None]
"""Writes the snapshot of an index to a folder that is not there yet."""


def build_shards(
    version: IndexVersion, home: Path, servers: StoreServers, caught_up: CaughtUp, save: Save = Index.save
) -> tuple[Path, int, int]:
    """The version's snapshot in `home`, its watermark and its chunks. Each shard stands where it was finished; whoever
    loads them follows from the earliest. Raises what `caught_up` raises."""
    finished = home / "building"
    for number in range(version.spec.shards.count):
        if not (finished / shard_name(number)).exists():
            build_shard(version, number, finished, servers, caught_up, save=save)
    marks, counts = zip(*(_facts(finished / shard_name(n)) for n in range(version.spec.shards.count)), strict=True)
    folder = home / f"snapshot-{min(marks)}"
    if folder.exists():  # nothing has changed since it was built
        shutil.rmtree(finished)
    else:
        seal(finished, folder, version.spec, version.version_id)
        finished.rmdir()
    return folder, min(marks), sum(counts)


def build_shard(
    version: IndexVersion, number: int, finished: Path, servers: StoreServers, caught_up: CaughtUp, *, save: Save
) -> None:
    """Write a snapshot of one shard into the folder of the finished ones."""
    with tempfile.TemporaryDirectory() as scratch:
        index = _open(version, number, Path(scratch), servers)
        follower = caught_up(index, lambda update: shard_of(version.spec.shards, update) == number)
        follower.settled(lambda: save(index, finished / shard_name(number)))


def _open(version: IndexVersion, number: int, scratch: Path, servers: StoreServers) -> Index:
    if version.snapshot:
        return Index.load(parts_of(Path(version.snapshot))[number], scratch, servers=servers)
    return Index.create(version.spec, shard_version(version.version_id, number), scratch, servers=servers)


def _facts(folder: Path) -> tuple[int, int]:
    """Watermark and chunks of a finished shard."""
    return watermark_of(folder), sum(1 for _ in PassageTable.load(folder / "passages").contents())
