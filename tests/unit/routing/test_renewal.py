"""A snapshot that is renewed finds what the old one found with its tail, takes its place whole or not at all, and
leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from include.quarry.catalog.versions import IndexVersion, find_version, forget_snapshot
from include.quarry.errors import IncompleteIndex
from include.quarry.records import Scope
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.sharded import load_index
from include.quarry.routing import renewal
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.follower import Follower
from include.quarry.routing.promotion import promote
from include.quarry.routing.renewal import renew_snapshots
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec, ShardSpec
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder

_STONES = 30
WAYS = {"whole": SPEC, "in shards": replace(SPEC, shards=ShardSpec(3))}
Seen = tuple[str, int, list[list[str]]]


@pytest.fixture(params=list(WAYS))
def spec(request: pytest.FixtureRequest) -> IndexSpec:
    return WAYS[request.param]


@pytest.fixture
def settings(corpus: Corpus, routing_settings: Settings, spec: IndexSpec) -> Settings:
    """v1 is live and v2 was so before; since then the corpus has changed."""
    settings = routing_settings.model_copy(update={"snapshot_tail_changes": 5})
    for number in range(_STONES):
        corpus.put(f"d{number}", f"Stone number {number} of the quarry is kept in hall {number * 7 % _STONES}.")
    corpus.embed()
    for version_id in ("v2", "v1"):
        build_version(version_id, "main", spec, settings)
        promote(version_id, settings)
    _change(corpus)
    return settings


def _change(corpus: Corpus, salt: str = "new") -> None:
    for number in range(0, _STONES, 3):
        corpus.put(f"d{number}", f"The {salt} stone number {number} was moved to the museum.")
    corpus.delete("d1")
    corpus.embed()


def version(corpus: Corpus, version_id: str = "v1") -> IndexVersion:
    with corpus.database.read() as connection:
        return find_version(connection, version_id)


def seen(corpus: Corpus, snapshot: str, *, follow: bool) -> Seen:
    """What a replica that opens the snapshot holds, how far it is, and what it finds."""
    with TemporaryDirectory() as scratch:
        index = load_index(Path(snapshot), Path(scratch))
        if follow:
            Follower(corpus.database, corpus.lake, index, "main").step()
        queries = [f"stone number {number} museum" for number in range(_STONES)]
        hits = index.find(queries, HashEmbedder().encode(queries), 10, Scope("default")).hits
        return digest(index.contents()), index.watermark, [[hit.chunk.chunk_id for hit in each] for each in hits]


def folders(corpus: Corpus, version_id: str = "v1") -> list[str]:
    home = Path(version(corpus, version_id).snapshot).parent
    return sorted(each.name for each in home.iterdir() if not each.name.endswith(".lock"))


def test_searches_before_and_after_are_equal_and_nothing_is_left_to_replay(corpus: Corpus, settings: Settings) -> None:
    before = version(corpus)
    expected = seen(corpus, before.snapshot, follow=True)
    assert {each["version"] for each in renew_snapshots(settings)} == {"v1", "v2"}
    after = version(corpus)
    assert after.watermark > before.watermark
    assert seen(corpus, after.snapshot, follow=False) == expected
    assert Path(before.snapshot).exists(), "a replica may be opening it"
    assert (after.state, after.chunk_count) == ("live", check_completeness("v1", settings)["chunks"])
    assert renew_snapshots(settings) == []


def test_the_old_folder_goes_when_nobody_can_be_opening_it_any_more(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_snapshots(settings)
    assert len(folders(corpus)) == 2
    monkeypatch.setattr(renewal, "_GRACE_S", 0.0)
    assert renew_snapshots(settings) == []
    assert folders(corpus) == [Path(version(corpus).snapshot).name]
    assert seen(corpus, version(corpus).snapshot, follow=True)[1] > 0


def test_a_short_tail_is_left_alone(corpus: Corpus, settings: Settings) -> None:
    assert renew_snapshots(settings.model_copy(update={"snapshot_tail_changes": 1000})) == []


def test_it_is_safe_while_documents_change(corpus: Corpus, settings: Settings) -> None:
    ended = threading.Event()

    def keep_changing() -> None:
        turn = 0
        while not ended.is_set():
            _change(corpus, f"often moved {(turn := turn + 1)}")

    changing = threading.Thread(target=keep_changing)
    changing.start()
    try:
        for _ in range(3):
            _change(corpus, "yet another")
            renew_snapshots(settings)
    finally:
        ended.set()
        changing.join()
    for version_id in ("v1", "v2"):
        proof = check_completeness(version_id, settings)
        assert proof["digest"] == proof["log_digest"]


def test_a_document_that_waits_for_vectors_holds_nothing_up_and_is_not_lost(corpus: Corpus, settings: Settings) -> None:
    corpus.put("waits", "A stone that nobody has embedded yet.")
    renew_snapshots(settings)
    corpus.embed()
    proof = check_completeness("v1", settings)
    assert (proof["digest"], proof["waiting"]) == (proof["log_digest"], 0)


def test_a_snapshot_that_is_not_equal_does_not_take_the_place_of_the_old_one(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version(corpus)
    monkeypatch.setattr(renewal, "answers", lambda index, _probes: [[(str(id(index)), 1.0)]])
    with pytest.raises(IncompleteIndex, match="the old one stays"):
        renew_snapshots(settings)
    assert version(corpus) == before


def test_a_version_that_was_ended_meanwhile_stays_ended(
    corpus: Corpus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove: Callable[..., None] = renewal._prove

    def ended_meanwhile(*arguments: object) -> None:
        prove(*arguments)
        with corpus.database.write() as connection:
            forget_snapshot(connection, "v1")

    monkeypatch.setattr(renewal, "_prove", ended_meanwhile)
    assert renewal.renew_snapshot("v1", settings) is None
    assert version(corpus).snapshot == ""


@pytest.mark.parametrize("spec", ["in shards"], indirect=True)
def test_killed_at_any_moment_it_leaves_a_whole_snapshot_and_goes_on(corpus: Corpus, settings: Settings) -> None:
    expected = seen(corpus, version(corpus).snapshot, follow=True)
    script = (
        "import sys\n"
        "from include.quarry.settings import Settings\n"
        "from include.quarry.routing.renewal import renew_snapshots\n"
        "print('begun', flush=True)\n"
        "home, url = sys.argv[1:]\n"
        "renew_snapshots(Settings(home=home, database_url=url, snapshot_tail_changes=5, _env_file=None))\n"
    )
    command = [sys.executable, "-c", script, str(settings.home), settings.catalog_url]
    for delay_s in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            threading.Event().wait(delay_s)  # the moment of the kill, not something waited for
            os.kill(process.pid, signal.SIGKILL)
        assert seen(corpus, version(corpus).snapshot, follow=True)[0] == expected[0]
    renew_snapshots(settings)
    assert seen(corpus, version(corpus).snapshot, follow=False) == expected
