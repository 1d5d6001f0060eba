"""The log of a build says how many shards and chunks are done, at what rate, and for how long it still works."""

from pathlib import Path

import pytest

from include.quarry.routing.sharding import BuiltShard
from ray_apps.jobs import shard_tasks
from ray_apps.jobs.shard_tasks import ShardProgress


def test_the_log_counts_what_is_finished_and_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate is that of this run: what an earlier one finished cost it no time."""
    clock = iter([100.0, 101.0, 110.0, 120.0])
    monkeypatch.setattr(shard_tasks.time, "monotonic", lambda: next(clock))
    progress = ShardProgress(tmp_path, 4000, {0: BuiltShard(0, 7, 1000)}, missing=3)
    assert progress.line() == "built 1 of 4 shards, 1,000 of 4,000 chunks, 0/s, warming up"
    (tmp_path / "1").write_text("400")
    (tmp_path / "2").write_text("600")
    (tmp_path / "3").write_text("")
    assert progress.line() == "built 1 of 4 shards, 2,000 of 4,000 chunks, 100/s, 20 s left"
    progress.finished(BuiltShard(1, 7, 1000))
    assert progress.line() == "built 2 of 4 shards, 2,600 of 4,000 chunks, 80/s, 18 s left"
