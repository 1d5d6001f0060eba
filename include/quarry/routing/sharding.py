"""Building a version shard by shard; one that is not divided is one shard.

Each shard is written by itself, whole or not at all, into the folder `building` of the version's home, by any process
that reaches it; its manifest is the receipt. A build that died goes on with the shards that are missing. When all are
there they move into one snapshot.

Each shard stands at the watermark where it was finished. The snapshot's is the earliest of them: whoever loads it
follows the log from there, and a shard that is further ignores what it has, since every document carries the `seq` of
its last update. So the shards need not agree, and the completeness proof, which loads and follows like everybody, holds
for all of them together.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from include.quarry.catalog.updates import Takes, everything
from include.quarry.catalog.versions import IndexVersion
from include.quarry.errors import Conflict
from include.quarry.retrieval.index import Index, watermark_of
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.placement import shard_of
from include.quarry.retrieval.sharded import index_names, parts_of, seal, shard_name
from include.quarry.routing.follower import Follower
from include.quarry.stores.servers import StoreServers
from include.quarry.stores.snapshot import is_whole, publish

CaughtUp = Callable[[Index, Takes], Follower]
"""Brings an index to the head of the log with the updates that it takes."""
Save = Callable[[Index, Path], None]
"""Writes the snapshot of an index to a folder that is not there yet."""


class BuiltShard(NamedTuple):
    """A finished shard: its number, where it stands, and how many chunks it holds."""

    number: int
    watermark: int
    chunks: int


def finished_shards(version: IndexVersion, home: Path) -> dict[int, BuiltShard]:
    """Begin a build, or go on with one that died: the shards that it need not build, by number."""
    (home / _BUILDING).mkdir(parents=True, exist_ok=True)
    for moved in home.glob(".snapshot-*.partial/shard-*"):  # `assemble` died while it moved them
        moved.rename(home / _BUILDING / moved.name)
    found = [_finished(version, number, home) for number in range(version.spec.shards.count)]
    return {shard.number: shard for shard in found if shard}


def build_shard(
    version: IndexVersion,
    number: int,
    home: Path,
    servers: StoreServers,
    caught_up: CaughtUp,
    *,
    save: Save = Index.save,
) -> BuiltShard:
    """Write one shard of a build that `finished_shards` began, unless it is there.

    One process at a time works on a shard, so that one that was taken for dead cannot write over the work of the next.
    Raises `Conflict` when the build has ended meanwhile, and what `caught_up` raises.
    """
    with FileLock(home / f".{shard_name(number)}.lock"):
        if not (home / _BUILDING).is_dir():
            raise Conflict(f"the build of index version {version.version_id} has ended; shard {number} is not wanted")
        if finished := _finished(version, number, home):
            return finished
        with tempfile.TemporaryDirectory() as scratch:
            index = _open(version, number, Path(scratch), servers)
            follower = caught_up(index, _takes(version, number))
            follower.settled(lambda: save(index, _folder(home, number)))
        return _facts(number, _folder(home, number))


def assemble(version: IndexVersion, home: Path) -> tuple[Path, int, int]:
    """Make the version's snapshot of its finished shards; gives its folder, its watermark and its chunks."""
    count, building = version.spec.shards.count, home / _BUILDING
    shards = [_facts(number, _folder(home, number)) for number in range(count)]
    watermark = min(shard.watermark for shard in shards)
    folder = home / f"snapshot-{watermark}"
    if folder.exists():  # nothing has changed since it was built
        shutil.rmtree(building)
        return folder, watermark, sum(shard.chunks for shard in shards)
    if count == 1:
        publish(_folder(home, 0), folder)
    else:
        seal(building, folder, version.spec, version.version_id)
    shutil.rmtree(building)
    return folder, watermark, sum(shard.chunks for shard in shards)


def _finished(version: IndexVersion, number: int, home: Path) -> BuiltShard | None:
    """The shard, if it is there and whole; what is left of a torn one is removed."""
    folder = _folder(home, number)
    if not folder.exists():
        return None
    if not is_whole(folder):
        shutil.rmtree(folder)
        return None
    return _facts(number, folder)


def _open(version: IndexVersion, number: int, scratch: Path, servers: StoreServers) -> Index:
    if version.snapshot:
        return Index.load(parts_of(Path(version.snapshot))[number], scratch, servers=servers)
    name = index_names(version.spec, version.version_id)[number]
    return Index.create(version.spec, name, scratch, servers=servers)


def _takes(version: IndexVersion, number: int) -> Takes:
    if version.spec.shards.count == 1:
        return everything
    return lambda update: shard_of(version.spec.shards, update) == number


def _facts(number: int, folder: Path) -> BuiltShard:
    chunks = sum(1 for _ in PassageTable.load(folder / "passages").contents())
    return BuiltShard(number, watermark_of(folder), chunks)


def _folder(home: Path, number: int) -> Path:
    return home / _BUILDING / shard_name(number)


_BUILDING = "building"
