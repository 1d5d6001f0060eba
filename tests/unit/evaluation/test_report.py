"""What is printed and drawn carries the numbers, and markup in a query stays text."""

from io import BytesIO, StringIO

import pytest
from rich.console import Console

from evaluation.comparison import compare
from evaluation.gate import judge
from evaluation.judgments import Thresholds
from evaluation.metrics import METRICS
from evaluation.picture import draw
from evaluation.record import Ingestion, Latency
from evaluation.report import LABELS, print_comparison, print_run, print_verdict


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=140, file=StringIO())


def test_every_measure_has_a_label_and_a_row(console: Console, make_record) -> None:
    record = make_record(ingestion=Ingestion(documents=30, seconds=2))
    print_run(console, record, None)
    text = console.export_text()
    assert set(METRICS) <= set(LABELS)
    for measure in record.measures:
        assert LABELS[measure] in text
    assert "0.5000" in text
    assert "15.0" in text
    assert "3 judged queries, 1 unanswerable" in text


def test_thresholds_and_verdict_are_shown_with_their_reason(console: Console, make_record) -> None:
    record = make_record(thresholds=Thresholds(at_least={"ndcg@10": 0.75}))
    verdict = judge(record, record.thresholds)
    print_run(console, record, verdict)
    print_verdict(console, verdict)
    text = console.export_text()
    assert "≥ 0.75" in text
    assert "verdict: fail" in text
    assert "at least 0.75 is broken" in text


def test_a_comparison_shows_the_worst_queries_as_they_were_asked(console: Console, make_record) -> None:
    before = make_record((1.0, 0.5, 0.5))
    query = before.queries[0].model_copy(update={"text": "what does list[int] mean?"})
    after = make_record((0.2, 0.5, 0.6))
    renamed = query.model_copy(update={"scores": dict.fromkeys(METRICS, 0.2)})
    after = after.model_copy(update={"queries": (renamed, *after.queries[1:])})
    print_comparison(console, compare(before, after, "ndcg@10"), rows=1)
    text = console.export_text()
    assert "what does list[int] mean?" in text
    assert "-0.800" in text
    assert "No significant difference" in text


@pytest.mark.parametrize("scores", [(1.0, 0.5, 0.0), (0.3,)])
def test_the_picture_counts_every_query(make_record, scores: tuple[float, ...]) -> None:
    record = make_record(scores)
    figure = draw(record)
    score_axes, latency_axes = figure.axes
    assert sum(bar.get_height() for bar in score_axes.patches) == len(record.judged)
    assert sum(bar.get_height() for bar in latency_axes.patches) == len(record.queries)
    image = BytesIO()
    figure.savefig(image)
    assert image.getvalue().startswith(b"\x89PNG")


def test_equal_latencies_can_be_drawn(make_record) -> None:
    record = make_record((0.5, 0.5))
    same = tuple(query.model_copy(update={"latency_ms": 4.0}) for query in record.queries)
    flat = record.model_copy(update={"queries": same, "latency": Latency(p50_ms=4, p99_ms=4, mean_ms=4)})
    assert sum(bar.get_height() for bar in draw(flat).axes[1].patches) == len(same)
