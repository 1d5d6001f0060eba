"""Named specs: those that ship, those that people write, and what is said of files that are none."""

import json
from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured
from include.quarry.index_specs import index_spec_names, load_index_spec, named_fingerprints, read_index_spec
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec, EmbeddingSpec, IndexSpec, StoreSpec

SHIPPED = {
    "default": IndexSpec(),
    "int8": IndexSpec(embedding=EmbeddingSpec(dtype="int8")),
    "int8_faiss": IndexSpec(store=StoreSpec(kind="sq8")),
    "milvus": IndexSpec(store=StoreSpec(adapter="milvus")),
    "small_chunks": IndexSpec(chunker=ChunkerSpec(max_tokens=128, min_tokens=24)),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_spec_says_what_its_name_says(name: str) -> None:
    assert load_index_spec(name) == SHIPPED[name]


def test_every_file_is_a_spec_of_its_own_and_default_comes_first() -> None:
    names = index_spec_names()
    assert names[0] == "default"
    assert set(names) >= set(SHIPPED)
    assert sorted(named_fingerprints().values()) == sorted(names)


def test_the_default_file_shows_every_field_but_the_precision() -> None:
    import yaml

    from include.quarry import index_specs

    shown = yaml.safe_load((index_specs._FOLDER / "default.yaml").read_text())
    every = json.loads(IndexSpec().to_json())
    del every["embedding"]["dtype"]
    assert shown == every


@pytest.mark.parametrize("choice", ["default", "small_chunks", '{"store": {"kind": "flat"}}'])
def test_a_spec_that_leaves_the_precision_open_takes_the_setting(choice: str) -> None:
    assert Settings(embedding_dtype="fp32").index_spec(choice).embedding.dtype == "fp32"


@pytest.mark.parametrize("choice", ["int8", ' {"embedding": {"dtype": "int8"}}'])
def test_a_spec_that_names_a_precision_keeps_it(choice: str) -> None:
    assert Settings(embedding_dtype="fp32").index_spec(choice).embedding.dtype == "int8"


@pytest.mark.parametrize("name", ["nope", "", "../settings", "default.yaml", "/etc/passwd", "[]", "nope" * 10**5])
def test_an_unknown_name_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(Misconfigured, match="there are default, int8") as raised:
        read_index_spec(name)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("choice", "complaint"), [('{"store"', "is not JSON"), ('{"store": {"kind": 1}}', "store.kind is 1")]
)
def test_json_that_is_no_spec_is_refused_with_the_reason(choice: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        read_index_spec(choice)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("store: [", "mine.yaml is not YAML: .*line 1"),
        ("store: {kind: [", "mine.yaml is not YAML"),
        ("\x00", "mine.yaml is not YAML"),
        ("just words", "mine.yaml: index spec is 'just words'; it must be a mapping"),
        ("store:", "mine.yaml: store is None; it must be a mapping"),
        ("embedding: {revision: 20260101}", "mine.yaml: embedding.revision is 20260101; .*string"),
    ],
)
def test_a_file_that_is_no_spec_is_named_with_what_is_wrong(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(Misconfigured, match=f"(?s)index spec {complaint}"):
        load_index_spec("mine", folder=tmp_path)


def test_an_empty_file_is_the_default_and_a_broken_one_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("[")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load_index_spec("empty", folder=tmp_path) == IndexSpec()
    assert named_fingerprints(folder=tmp_path) == {IndexSpec().fingerprint: "empty"}
