"""What a backfill's journals add up to."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_apps.jobs.backfill_report import BackfillReport, _busy_s, report_of
from ray_apps.jobs.node_watch import node_class
from ray_apps.jobs.worker_journal import Entry, WorkerJournal, read_journals

PRICES = {"spot": 0.36, "on-demand": 3.6}


def report(attempts: Path) -> BackfillReport:
    return report_of(attempts, "main", "space", PRICES)


def ended(
    journal: WorkerJournal, unit: str, *kept: str, found: str = "", discarded: int = 0, engine_s: float = 1.0
) -> None:
    journal.note("begun", unit=unit)
    journal.note("ended", unit=unit, kept=kept, found=list(found), discarded=discarded, engine_s=engine_s)


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    """Two attempts: a worker that is killed inside its engine, one that leaves on notice, one that ends the work."""
    killed, noticed, last = (
        WorkerJournal(tmp_path / attempt / f"{name}.jsonl")
        for attempt, name in (("0001", "killed"), ("0001", "noticed"), ("0002", "last"))
    )
    for journal in (killed, noticed, last):
        journal.note("started", node="node", node_class="spot")
    ended(killed, "one", "a", "b")
    killed.note("begun", unit="two")
    ended(noticed, "three", "e", engine_s=0.5)
    noticed.note("noticed")
    ended(last, "two", "c", "d")
    for attempt, use in (
        ("0001", {"seconds": {"spot": 1800.0, "head": 3600.0}, "joined": 3, "lost": 1, "left": 1}),
        ("0002", {"seconds": {"spot": 1800.0, "on-demand": 360.0}, "joined": 1, "lost": 0, "left": 0}),
    ):
        (tmp_path / attempt / "nodes.json").write_text(json.dumps(use))
    return tmp_path


def test_a_report_adds_up_all_attempts(attempts: Path) -> None:
    found = report(attempts)
    assert (found.embedded, found.embedded_again) == (5, 0)
    assert (found.units, found.units_resumed, found.units_cut_short) == (3, 1, 1)
    assert (found.attempts, found.workers, found.workers_noticed) == (2, 3, 1)
    assert (found.nodes_joined, found.nodes_lost, found.nodes_left) == (4, 1, 1)
    assert [count for _, count in found.kept] == [2, 3, 5]


def test_cost_is_node_hours_by_the_price_of_their_class_and_nothing_without_a_price(attempts: Path) -> None:
    found = report(attempts)
    assert found.node_seconds == {"head": 3600.0, "on-demand": 360.0, "spot": 3600.0}
    assert found.cost == pytest.approx(0.36 + 0.36)


@given(
    calls=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(0, 20)), max_size=30),
)
def test_engine_time_counts_a_moment_once_for_each_worker(calls: list[tuple[str, int, int]]) -> None:
    ended = [Entry(worker, "ended", 100.0 + at + took, {"engine_s": took}) for worker, at, took in calls]
    moments = {(worker, at + second) for worker, at, took in calls for second in range(took)}
    assert _busy_s(ended) == len(moments)


def test_a_text_that_was_kept_twice_or_thrown_away_is_told(attempts: Path) -> None:
    cut_off = WorkerJournal(attempts / "0002" / "cut-off.jsonl")
    ended(cut_off, "one", "a")
    ended(cut_off, "two", discarded=2)
    assert (report(attempts).embedded, report(attempts).embedded_again) == (5, 3)


def test_what_a_worker_kept_without_living_to_say_so_counts_once(attempts: Path) -> None:
    died = WorkerJournal(attempts / "0002" / "died.jsonl")
    died.note("begun", unit="four")
    ended(WorkerJournal(attempts / "0002" / "next.jsonl"), "four", "h", found="fg")
    ended(WorkerJournal(attempts / "0002" / "again.jsonl"), "four", found="fgh")
    assert (report(attempts).embedded, report(attempts).embedded_again) == (8, 0)


def test_what_another_backfill_embedded_meanwhile_is_not_counted(attempts: Path) -> None:
    ended(WorkerJournal(attempts / "0002" / "late.jsonl"), "four", "h", found="fg")
    assert report(attempts).embedded == 6


def test_a_line_that_a_dying_worker_did_not_finish_is_left_out(attempts: Path) -> None:
    with (attempts / "0001" / "killed.jsonl").open("a") as journal:
        journal.write('{"event":"ended","unit":"two","ke')
    assert report(attempts).embedded == 5


def test_nothing_to_do_is_a_report_of_nothing(tmp_path: Path) -> None:
    found = report(tmp_path / "none")
    assert (found.embedded, found.attempts, found.wall_s) == (0, 0, 0.0)
    assert list(read_journals(tmp_path / "none")) == []


def test_a_page_shows_the_pace_and_the_figures(attempts: Path, tmp_path: Path) -> None:
    page = report(attempts).save(tmp_path / "reports", "plan")
    assert "<svg" in page.read_text()
    assert "<th>embedded_again</th><td>0</td>" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["embedded"] == 5
    assert "5 texts embedded" in report(attempts).lines()[0]


@pytest.mark.parametrize(
    ("resources", "labels", "expected"),
    [
        ({"node:__internal_head__": 1.0}, {"ray.io/market-type": "on-demand"}, "head"),
        ({"CPU": 1.0}, {"ray.io/market-type": "spot"}, "spot"),
        ({"CPU": 1.0}, {}, "unlabelled"),
    ],
)
def test_a_node_is_of_the_class_that_its_label_says(
    resources: dict[str, float], labels: dict[str, str], expected: str
) -> None:
    assert node_class({"Resources": resources, "Labels": labels}) == expected
