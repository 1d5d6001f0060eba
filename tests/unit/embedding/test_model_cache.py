import fcntl
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.quarry.embedding.model_cache import cached_folder
from include.quarry.errors import Misconfigured


def write_model(folder: Path) -> None:
    (folder / "model").write_text("whole")


def test_a_model_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        write_model(folder)

    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: cached_folder(tmp_path, "m", make), range(8)))
    assert len(made) == 1
    assert folders == {tmp_path / "m"}
    assert (tmp_path / "m" / "model").read_text() == "whole"


def test_a_failed_making_leaves_no_model(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "model").write_text("half")
        raise RuntimeError("converter broke")

    with pytest.raises(RuntimeError):
        cached_folder(tmp_path, "m", fail)
    assert not (tmp_path / "m").exists()
    assert (cached_folder(tmp_path, "m", write_model) / "model").read_text() == "whole"


def test_while_a_model_is_made_its_lock_is_held(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        with (tmp_path / "m.lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_model(folder)

    cached_folder(tmp_path, "m", make)


def _die_midway(folder: Path) -> None:
    (folder / "model").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_midway_leaves_no_model_no_lock_and_no_rest(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=cached_folder, args=(tmp_path, "m", _die_midway))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "m").exists()
    assert (cached_folder(tmp_path, "m", write_model) / "model").read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m.lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="file/models"):
        cached_folder(tmp_path / "file" / "models", "m", write_model)
