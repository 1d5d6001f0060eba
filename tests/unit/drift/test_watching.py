"""A corpus under watch: remembered at its promotion, judged window by window."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from include.quarry.catalog.database import Database
from include.quarry.drift.watching import DriftWatch, verdict_of
from include.quarry.errors import NotFound
from include.quarry.records import Vectors
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus

pytestmark = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)


class TopicEmbedder:
    """A text lies near the stone it is about; `turned` is another model under the same name."""

    spec = SPEC.embedding

    def __init__(self, *, turned: bool = False) -> None:
        self._turn = -1.0 if turned else 1.0

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = np.stack([_direction(_stone(text)) + 0.5 * _direction(text) for text in texts])
        values = (self._turn * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return Vectors(self.spec.fingerprint, values)


def _stone(text: str) -> str:
    return text.partition(" of stone")[0].split()[-1]


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(sha256(word.encode()).digest()[:4])
    return np.random.default_rng(seed).normal(size=SPEC.embedding.dimensions)


@pytest.fixture
def corpus(database: Database, tmp_path: Path, catalog_url: str) -> Corpus:
    """120 documents about two things, live as v1."""
    settings = Settings(home=tmp_path / "home", database_url=catalog_url)
    corpus = Corpus(database, settings)
    _write(corpus, ["granite", "chalk"], range(120))
    build_version("v1", "main", SPEC, settings)
    promote("v1", settings)
    return corpus


def _write(corpus: Corpus, topics: list[str], numbers: range) -> None:
    for number in numbers:
        corpus.put(f"d{number}", f"{topics[number % len(topics)]} of stone number {number}.")
    corpus.embed(TopicEmbedder())


def _watch(corpus: Corpus) -> DriftWatch:
    return DriftWatch(corpus.database, corpus.lake, corpus.settings.home.absolute(), "main")


def _judge(corpus: Corpus, since: datetime, embedder: TopicEmbedder | None = None) -> dict[str, object]:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    return _watch(corpus).judge(embedder or TopicEmbedder(), since, until)


def test_content_is_not_read_again_when_it_is_remembered(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    _watch(corpus).remember(TopicEmbedder())
    monkeypatch.setattr("include.quarry.drift.watching.read_content", None)
    assert _watch(corpus).remember(TopicEmbedder()) == []


def test_content_of_the_same_kind_is_no_drift(corpus: Corpus) -> None:
    assert _watch(corpus).remember(TopicEmbedder()) == ["corpus"]
    since = datetime.now(UTC)
    _write(corpus, ["granite", "chalk"], range(200, 260))
    verdict = _judge(corpus, since)
    assert (verdict["outcome"], verdict["judged"]) == ("none", True)


def test_other_content_is_drift_with_a_remedy_for_as_long_as_it_lasts(corpus: Corpus) -> None:
    _watch(corpus).remember(TopicEmbedder())
    since = datetime.now(UTC)
    _write(corpus, ["coral", "amber"], range(200, 260))
    ended = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    first = _watch(corpus).judge(TopicEmbedder(), since, ended)
    assert first["outcome"] == "drift"
    assert first["remedy"]["action"] in ("retrain_index", "try_embedding")
    tick = Event()
    while datetime.now(UTC) < ended:
        tick.wait(0.02)
    _write(corpus, ["coral", "amber"], range(300, 360))
    later = _watch(corpus).judge(TopicEmbedder(), ended, ended + timedelta(hours=1))
    assert later["outcome"] == "drift"


def test_documents_that_were_late_are_judged_with_the_window_that_they_changed_in(corpus: Corpus) -> None:
    """The backfill stands still: what arrives has no vectors when its window is judged."""
    _watch(corpus).remember(TopicEmbedder())
    since = datetime.now(UTC)
    for number in range(200, 260):
        corpus.put(f"d{number}", f"coral of stone number {number}.")
    ended = since.replace(microsecond=0) + timedelta(hours=1)
    first = _watch(corpus).judge(TopicEmbedder(), since, ended)
    assert first["outcome"] == "insufficient_data"
    assert _watch(corpus).memory().history()[0].waiting == 60
    corpus.embed(TopicEmbedder())
    second = _watch(corpus).judge(TopicEmbedder(), ended, ended + timedelta(hours=1))
    judged = _watch(corpus).memory().history()
    assert [(window.verdict.outcome, window.waiting) for window in judged] == [("drift", 0), ("insufficient_data", 0)]
    assert second["outcome"] == "insufficient_data"
    assert judged[-1].verdict.state.condition == "drift"


def test_a_changed_model_is_told_from_changed_content(corpus: Corpus) -> None:
    _watch(corpus).remember(TopicEmbedder())
    assert _judge(corpus, datetime.now(UTC), TopicEmbedder(turned=True))["outcome"] == "model_changed"


def test_what_was_remembered_stays_until_another_version_is_live(corpus: Corpus) -> None:
    assert _watch(corpus).remember(TopicEmbedder()) == ["corpus"]
    assert _watch(corpus).remember(TopicEmbedder()) == []
    build_version("v2", "main", SPEC, corpus.settings)
    promote("v2", corpus.settings)
    assert _watch(corpus).remember(TopicEmbedder()) == ["corpus"]


def test_a_verdict_is_found_by_the_window_it_is_about(corpus: Corpus) -> None:
    _watch(corpus).remember(TopicEmbedder())
    since = datetime.now(UTC)
    until = since.replace(microsecond=0) + timedelta(hours=1)
    _write(corpus, ["coral", "amber"], range(200, 260))
    judged = _watch(corpus).judge(TopicEmbedder(), since, until)
    assert verdict_of("main", until, corpus.settings) == judged
    other = verdict_of("main", until + timedelta(days=1), corpus.settings)
    assert (other["judged"], other["outcome"]) == (False, "insufficient_data")


def test_a_corpus_that_nothing_answers_for_is_not_watched(corpus: Corpus) -> None:
    with pytest.raises(NotFound, match="'other'"):
        DriftWatch(corpus.database, corpus.lake, corpus.settings.home.absolute(), "other")
    assert not verdict_of("other", datetime.now(UTC), corpus.settings)["judged"]
