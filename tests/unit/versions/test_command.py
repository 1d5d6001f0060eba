"""The way of a version by commands alone, and what is said when a step is not allowed."""

import subprocess
import sys

import pytest

from include.quarry.__main__ import main
from tests.unit.routing.corpus import Corpus
from tests.unit.versions.conftest import HASH


def columns(printed: str, version_id: str) -> list[str]:
    (line,) = (line for line in printed.splitlines() if line.startswith(version_id))
    return line.split()


def test_a_version_is_built_promoted_taken_back_and_retired(run, ask, corpus: Corpus) -> None:
    assert run("list")[1].startswith("no index version yet")
    for version_id in ("v1", "v2"):
        assert ask("build", "--spec", HASH, "--version-id", version_id)["chunks"] == 2
        promoted = ask("promote", version_id)
        assert promoted["route"]["live_version"] == version_id
        assert promoted["proof"]["digest"] == promoted["proof"]["log_digest"]
    assert [view["version_id"] for view in ask("list")] == ["v2", "v1"]
    assert ask("rollback", "--reason", "worse")["live_version"] == "v1"
    back = {view["version_id"]: view for view in ask("list", "--corpus", "main")}
    assert (back["v1"]["state"], back["v1"]["share"]) == ("live", 1.0)
    assert (back["v2"]["state"], back["v2"]["reason"], back["v2"]["previous"]) == ("retired", "worse", True)
    snapshot = corpus.settings.home / "indexes" / "v2"
    assert snapshot.exists()
    assert ask("retire", "v2")["lag_changes"] is None
    assert not snapshot.exists()
    assert ask("list", "--corpus", "other") == []


def test_the_table_says_what_answers_and_how_far_behind_a_snapshot_is(run, corpus: Corpus) -> None:
    run("build", "--spec", HASH, "--version-id", "v1")
    run("promote", "v1")
    corpus.delete("a")
    code, printed, _ = run("list")
    assert code == 0
    heads = ["version", "corpus", "state", "share", "spec", "watermark", "lag", "chunks", "created"]
    assert printed.splitlines()[0].split() == heads
    line = columns(printed, "v1")
    assert line[:4] == ["v1", "main", "live", "100%"]
    assert line[5:8] == ["2", "1", "2"]


def test_live_names_the_spec_that_answers(ask) -> None:
    first = ask("build", "--spec", HASH)["version"]
    assert first.startswith("main-")
    ask("promote", first)
    ask("build", "--version-id", "again")
    one, other = ask("show", first), ask("show", "again")
    assert one["fingerprint"] == other["fingerprint"]
    assert one["parts"]["embedding"]["model"] == "hash"
    assert one["spec"] == one["fingerprint"]  # no file has it


def test_a_build_shows_what_it_counts(run) -> None:
    code, printed, _ = run("build", "--spec", HASH, "--version-id", "v1")
    assert code == 0
    assert "✓ build v1" in printed
    assert "chunks" in printed


def test_promotion_is_refused_for_what_differs_from_the_log_unless_unchecked(run, ask, corpus: Corpus) -> None:
    ask("build", "--spec", HASH, "--version-id", "v1")
    from include.quarry.catalog.schema import chunks

    with corpus.database.write() as connection:
        connection.execute(chunks.insert().from_select(list(chunks.c.keys()), _twin_of_a_chunk()))
    code, printed, complained = run("promote", "v1")
    assert (code, printed) == (1, "")
    assert complained.startswith("Incomplete index: ")
    assert "Traceback" not in complained
    assert ask("list")[0]["state"] == "shadow"
    assert ask("promote", "v1", "--unchecked")["proof"] is None


def _twin_of_a_chunk():
    import sqlalchemy as sa

    from include.quarry.catalog.schema import chunks

    values = [sa.literal("twin") if column.name == "chunk_id" else column for column in chunks.c]
    return sa.select(*values).where(chunks.c.doc_id == "a")


def test_a_refused_version_has_failed_with_the_reason(run, ask) -> None:
    ask("build", "--spec", HASH, "--version-id", "v1")
    assert ask("refuse", "v1", "--reason", "stale")["reason"] == "stale"
    code, _, complained = run("promote", "v1", "--unchecked")
    assert code == 1
    assert complained.startswith("Conflict: ")
    assert "stale" in complained


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show", "nope"], "Not found: no index version 'nope'"),
        (["promote", "nope"], "Not found: "),
        (["retire", "nope"], "Not found: "),
        (["refuse", "nope", "--reason", "r"], "Not found: "),
        (["rollback", "--corpus", "nope", "--reason", "r"], "Not found: "),
        (["build", "--corpus", "nope"], "Not found: corpus 'nope' has no documents"),
        (["build", "--spec", "nope"], "Invalid input: there is no index spec 'nope'"),
        (["build", "--spec", '{"store": {"kind": "x"}}'], "Invalid input: index spec: store.kind is 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(run, words: list[str], complaint: str) -> None:
    code, printed, complained = run(*words)
    assert (code, printed) == (1, "")
    assert complained.startswith(complaint)
    assert complained.count("\n") == 1


def test_a_live_version_is_neither_retired_nor_refused(run) -> None:
    run("build", "--spec", HASH, "--version-id", "v1")
    run("promote", "v1")
    for words in (["retire", "v1"], ["refuse", "v1", "--reason", "r"], ["rollback", "--reason", "r"]):
        code, _, complained = run(*words)
        assert code == 1
        assert complained.startswith("Conflict: ")


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["show"], ["show", "../x"], ["rollback"], ["build", "--corpus", "Main"], ["refuse", "v1"]]
)
def test_misuse_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["versions", *words])
    assert raised.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_both_ways_to_call_it_are_one(tmp_path) -> None:
    for module in (["include.quarry.versions"], ["include.quarry", "versions"]):
        command = [sys.executable, "-m", *module, "list"]
        environment = {"QUARRY_HOME": str(tmp_path / "none"), "PATH": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("Temporarily unavailable: the catalog is not there")
        assert not (tmp_path / "none").exists()
