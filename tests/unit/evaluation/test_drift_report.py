"""A judged window leaves a page that a person can read, a picture, Evidently's report and the verdict itself."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from evaluation.drift_picture import draw_trend
from evaluation.drift_report import Findings, write_report
from include.quarry.drift.detection import detect
from include.quarry.drift.memory import JudgedWindow
from include.quarry.drift.reference import Reference, remember
from include.quarry.drift.remedy import Remedy, choose_remedy
from include.quarry.drift.verdict import State, Verdict, insufficient_data
from include.quarry.drift.window import Embedded, Window
from include.quarry.drift.words import spell, words_of
from include.quarry.records import Vectors

START = datetime(2026, 3, 1, tzinfo=UTC)
DIMENSIONS = 16
_WORDS = ("granite", "chalk", "slate", "marble", "gneiss", "coral")
_CENTRES = np.random.default_rng(1).normal(size=(6, DIMENSIONS)) * 2


def make_texts(seed: int, topics: Sequence[int], name: str = "doc") -> Embedded:
    values = _CENTRES[list(topics)] + np.random.default_rng(seed).normal(size=(len(topics), DIMENSIONS))
    values = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    documents = tuple(f"{name}-{row}" for row in range(len(topics)))
    words = tuple(words_of(f"{_WORDS[topic]} and what else there is") for topic in topics)
    return Embedded(Vectors("space", values), tuple(f"{each}#0" for each in documents), documents, words)


@pytest.fixture(scope="module")
def reference() -> Reference:
    sentinels = Vectors("space", np.eye(2, DIMENSIONS, dtype=np.float32))
    return remember(make_texts(0, [row % 4 for row in range(200)]), sentinels, corpus="main", made_at=START)


def make_window(day: int, new: int, name: str = "doc") -> Window:
    texts = make_texts(day, [5] * new + [row % 4 for row in range(60 - new)], name)
    return Window(texts, START + timedelta(days=day), START + timedelta(days=day + 1))


@pytest.fixture(scope="module")
def history(reference: Reference) -> list[JudgedWindow]:
    judged, state = [], State()
    for day, new in enumerate((0, 0, 4, 30), start=1):
        window = make_window(day, new)
        verdict = detect(reference, window, None, state)
        state = verdict.state
        judged.append(JudgedWindow(window.since, window.until, verdict))
    return judged


def test_the_report_is_whole(reference: Reference, history: list[JudgedWindow], tmp_path: Path) -> None:
    last = history[-1].verdict
    spelled = spell(["coral", "granite"])
    findings = Findings(reference, make_window(4, 30), history, choose_remedy(last), spelled)
    paths = write_report(tmp_path / "r", findings)
    assert [path.name for path in paths] == ["drift.html", "trend.png", "verdict.json", "evidently.html"]
    page = paths[0].read_text()
    assert "Drift of content in main: drift" in page
    assert "60 chunks of 60 documents" in page
    assert "retrain" in page
    assert all(one.name in page for one in last.statistics)
    assert "<td>coral</td><td>50.0%</td><td>0.0%</td>" in page
    assert Verdict.from_parts(json.loads(paths[2].read_text())) == last
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    evidently = paths[3].read_text()
    assert "Drift in embeddings" in evidently
    assert "distance" in evidently


def test_the_furthest_documents_are_listed_and_nothing_in_a_name_is_markup(
    reference: Reference, history: list[JudgedWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.drift_report.write_evidently", lambda *_: None)
    window = make_window(4, 5, name="<script>")
    page = write_report(tmp_path, Findings(reference, window, history, Remedy("none", "a < b")))[0].read_text()
    assert "<script>" not in page
    for row in range(5):
        assert f"<td>&lt;script&gt;-{row}</td>" in page
    assert "a &lt; b" in page


def test_queries_are_shown_by_their_text_and_late_documents_are_told_of(
    reference: Reference, history: list[JudgedWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.drift_report.write_evidently", lambda *_: None)
    asked = replace(reference, subject="queries")
    late = [*history[:-1], replace(history[-1], waiting=7)]
    titles = {"q-0": "Where is the quarry?"}
    findings = Findings(asked, make_window(4, 5, name="q"), late, Remedy("renew_suite", ""), titles=titles)
    page = write_report(tmp_path, findings)[0].read_text()
    assert "<td>Where is the quarry?</td>" in page
    assert "60 queries, 7 more without vectors yet" in page


def test_the_trend_has_a_panel_for_each_statistic_with_its_alarm_line(history: list[JudgedWindow]) -> None:
    panels = draw_trend(history[::-1]).axes
    statistics = history[0].verdict.statistics
    assert len(panels) == len(statistics) + 1
    for panel, one in zip(panels, statistics, strict=False):
        assert panel.get_ylabel().replace("\n", "_") == one.name
        line, *_, floor = [each for each in panel.lines if len(each.get_xdata()) > 0]
        assert list(line.get_xdata()) == sorted(line.get_xdata())
        assert len(line.get_xdata()) == len(history)
        assert set(floor.get_ydata()) == {one.floor}


def test_windows_without_a_judgement_do_not_hinder_the_picture(reference: Reference, tmp_path: Path) -> None:
    empty = Window(make_texts(0, []), START, START + timedelta(days=1))
    judged = JudgedWindow(empty.since, empty.until, insufficient_data("the window is empty", State()))
    paths = write_report(tmp_path, Findings(reference, empty, [judged], Remedy("none", "")))
    assert [path.name for path in paths] == ["drift.html", "trend.png", "verdict.json"]
    assert "the window is empty" in paths[0].read_text()
