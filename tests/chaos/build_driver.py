"""The driver of a build, as the job server would start it, with tasks that keep a journal and can be held inside.

python -m tests.chaos.build_driver HOME SHARDS

Each line of the journal is `event pid shard`: `begun` when a task takes a shard, `applied` when the shard is full but
not yet written, `held` while a file `hold-SHARD` keeps it there, `built` when it is written.
"""

import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import ray

from include.quarry.routing.building import BuildOne
from include.quarry.routing.follower import Applied
from include.quarry.routing.sharding import BuiltShard
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec, ShardSpec
from ray_apps.jobs import build_index
from ray_apps.jobs.build_index import BuildIndex, run
from tests.chaos.journal import SPEC

_HOLD_POLL_S = 0.02


def spec_of(shards: int) -> IndexSpec:
    return replace(SPEC, shards=ShardSpec(shards))


@dataclass(frozen=True, slots=True)
class Journaled:
    """Builds a shard, and says so."""

    build_one: BuildOne
    home: Path

    def __call__(self, number: int, *, applied: Applied | None = None) -> BuiltShard:
        def held(documents: int, chunks: int) -> None:
            if applied:
                applied(documents, chunks)
            self._note("applied", number)
            hold = self.home / f"hold-{number}"
            if hold.exists():
                self._note("held", number)
                while hold.exists():
                    time.sleep(_HOLD_POLL_S)

        self._note("begun", number)
        built = self.build_one(number, applied=held)
        self._note("built", number)
        return built

    def _note(self, event: str, number: int) -> None:
        with (self.home / "journal").open("a") as journal:
            journal.write(f"{event} {os.getpid()} {number}\n")


def main() -> None:
    home, shards = Path(sys.argv[1]), int(sys.argv[2])
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level=logging.WARNING)
    send = build_index.build_on_ray

    def journaled(build_one: BuildOne, *shards: object, **how: object) -> None:
        send(Journaled(build_one, home), *shards, **how)  # type: ignore[arg-type]

    with patch.object(build_index, "build_on_ray", journaled):
        run(BuildIndex(version_id="v1"), Settings(home=home), spec_of(shards))


if __name__ == "__main__":
    main()
