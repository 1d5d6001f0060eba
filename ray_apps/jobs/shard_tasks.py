"""The shards of an index version as Ray tasks, on any nodes that reach the catalog, the lake and the version's folder.

A task whose worker or node dies is started again by Ray. A driver that dies takes its tasks with it; the next one sends
out those shards only that no task has finished. A shard needs memory for itself and for a batch of vectors.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from include.quarry.errors import Unavailable
from include.quarry.routing.building import BuildOne
from include.quarry.routing.sharding import BuiltShard
from ray_apps.jobs.background import give_way

_MORE_LIVES = 5
_REPORT_EVERY_S = 5.0


def build_on_ray(
    build_one: BuildOne,
    missing: Sequence[int],
    done: Mapping[int, BuiltShard],
    *,
    tallies: Path,
    total_chunks: Callable[[], int],
) -> None:
    """See `EachShard`. Tasks say in the folder `tallies` how far they are. Raises what the first that failed raised,
    when the others have ended."""
    shutil.rmtree(tallies, ignore_errors=True)  # those of a driver that died say nothing any more
    tallies.mkdir(parents=True)
    progress = ShardProgress(tallies, total_chunks(), done, len(missing))
    tasks: dict[Any, int] = {_build.remote(build_one, number, tallies / str(number)): number for number in missing}
    failed: list[RayError] = []
    while tasks:
        for task in ray.wait(list(tasks), timeout=_REPORT_EVERY_S)[0]:
            number = tasks.pop(task)
            try:
                progress.finished(ray.get(task))
            except RayError as error:
                print(f"shard {number} failed: {error}", flush=True)
                failed.append(error)
        print(progress.line(), flush=True)
    shutil.rmtree(tallies)
    if failed:
        raise failed[0]


class ShardProgress:
    """Shards and chunks done, out of all, at what rate, and for how long still."""

    def __init__(self, tallies: Path, total_chunks: int, done: Mapping[int, BuiltShard], missing: int) -> None:
        self._tallies = tallies
        self._total = total_chunks
        self._built = dict(done)
        self._shards = len(done) + missing
        self._began_with = sum(shard.chunks for shard in done.values())
        self._started = time.monotonic()

    def finished(self, shard: BuiltShard) -> None:
        """This shard is written."""
        self._built[shard.number] = shard

    def line(self) -> str:
        """For the job's log."""
        under_way = sum(_read(path) for path in self._tallies.iterdir() if int(path.name) not in self._built)
        chunks = sum(shard.chunks for shard in self._built.values()) + under_way
        rate = (chunks - self._began_with) / max(time.monotonic() - self._started, 1e-9)
        left = f"{max(0, self._total - chunks) / rate:.0f} s left" if rate else "warming up"
        return (
            f"built {len(self._built)} of {self._shards} shards, {chunks:,} of {self._total:,} chunks, "
            f"{rate:,.0f}/s, {left}"
        )


class _Tally:
    """Keeps the count of a shard's chunks in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks = 0
        self._write()

    def applied(self, _documents: int, chunks: int) -> None:
        self._chunks += chunks
        self._write()

    def _write(self) -> None:
        self._path.write_text(str(self._chunks))


def _read(tally: Path) -> int:
    return int(tally.read_text() or 0)  # empty while it is being written


@ray.remote(  # type: ignore[call-overload]  # its stub does not know that errors can be listed
    num_cpus=1, max_retries=_MORE_LIVES, retry_exceptions=[Unavailable]
)
def _build(build_one: BuildOne, number: int, tally: Path) -> BuiltShard:
    give_way()
    return build_one(number, applied=_Tally(tally).applied)
