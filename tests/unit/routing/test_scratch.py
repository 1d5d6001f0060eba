import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.quarry.operations.installation import REPOSITORY
from include.quarry.routing import scratch as module
from include.quarry.routing.scratch import Scratch, remove_abandoned

_REPLICA = """
import sys
from pathlib import Path
from include.quarry.routing.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "words").write_text("of a tenant")
print(scratch.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def replica(home: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    command = [sys.executable, "-c", _REPLICA, home]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_replica_left_is_removed_and_what_lives_is_not() -> None:
    with replica("/q") as (_, living), replica("/q") as (process, left), replica("/elsewhere") as (_, foreign):
        process.kill()
        process.wait()
        assert (left / "words").exists()
        own = Scratch(Path("/q"))
        assert not left.exists()
        assert all((folder / "words").exists() for folder in (living, foreign))
        assert own.path.exists()


def test_nothing_is_left_after_the_last_one(temporary: Path) -> None:
    with replica("/q") as (process, left):
        process.kill()
        process.wait()
        remove_abandoned(Path("/q"))
        assert not left.exists()


@pytest.mark.parametrize("moment", ["before it is opened", "after it was opened"])
def test_a_folder_that_was_taken_for_abandoned_before_its_lock_is_not_used(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open, taken = module.os.open, []

    def open_late(path: str, *options: int) -> int:
        if taken:
            return really_open(path, *options)
        taken.append(path)
        if moment == "before it is opened":
            Path(path).rmdir()
            return really_open(path, *options)
        opened = really_open(path, *options)
        Path(path).rmdir()
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "open", open_late)
        own = Scratch(Path("/q"))
    assert taken
    assert own.path.exists()
    assert str(own.path) not in taken
