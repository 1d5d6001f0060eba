import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from include.quarry.embedding import model_folder
from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.errors import Misconfigured
from include.quarry.specs import EmbeddingSpec

SPEC = EmbeddingSpec()


def test_the_default_spec_names_a_packaged_model_with_the_pinned_weights() -> None:
    assert (find_model_folder(SPEC) / "tokenizer.json").is_file()


def test_a_folder_is_a_model_too() -> None:
    folder = find_model_folder(SPEC)
    assert find_model_folder(replace(SPEC, model=str(folder))) == folder


def test_other_weights_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    source = find_model_folder(SPEC)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(source / name, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(Misconfigured, match="pins '53aa5117'"):
        find_model_folder(replace(SPEC, model=str(tmp_path)))


@pytest.mark.parametrize("revision", ["", "53aa511", "00000000"])
def test_a_revision_that_does_not_pin_the_weights_is_refused(revision: str) -> None:
    with pytest.raises(Misconfigured, match="53aa5117"):
        find_model_folder(replace(SPEC, revision=revision))


def test_an_incomplete_folder_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"lacks \['model.safetensors', 'config.json', 'tokenizer.json'\]"):
        find_model_folder(replace(SPEC, model=str(tmp_path)))


def test_an_unknown_name_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(Misconfigured, match="all-MiniLM-L6-v2"):
        find_model_folder(replace(SPEC, model="all-MaxiLM"))


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model_folder.PACKAGED, "absent", "an_absent_package")
    with pytest.raises(Misconfigured, match="pip install an-absent-package"):
        find_model_folder(replace(SPEC, model="absent"))
