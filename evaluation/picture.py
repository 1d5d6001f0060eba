"""Runs and comparisons as pictures: how scores, differences and latencies are spread, which no mean can show."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.gate_record import ComparisonRecord, GateRecord
from evaluation.record import RunRecord
from evaluation.report import LABELS

_BAR = "#4878a8"
_LINE = "#c0392b"


def draw(record: RunRecord) -> Figure:
    """Two histograms side by side: per-query headline score, and latency on a logarithmic axis."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    scores_axes, latency_axes = figure.subplots(1, 2)
    _draw_scores(scores_axes, record)
    _draw_latency(latency_axes, record)
    figure.suptitle(f"{record.suite} on {record.corpus}, index {', '.join(record.index_versions)}")
    return figure


def draw_differences(record: GateRecord, comparison: ComparisonRecord) -> Figure:
    """Side by side: the change of every query with the interval of their mean, and both versions' latencies."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    changes_axes, latency_axes = figure.subplots(1, 2)
    _draw_changes(changes_axes, comparison)
    _draw_latencies(latency_axes, comparison)
    figure.suptitle(f"{record.candidate} against {record.against} on {record.suite}: {record.outcome}")
    return figure


def _draw_changes(axes: Axes, comparison: ComparisonRecord) -> None:
    changes = sorted(change.change for change in comparison.changes)
    axes.bar(range(len(changes)), changes, color=[_LINE if change < 0 else _BAR for change in changes], width=1.0)
    axes.axhspan(comparison.low, comparison.high, color="black", alpha=0.15, label="95% interval of the mean")
    axes.axhline(comparison.mean, color="black", label=f"mean {comparison.mean:+.3f}")
    axes.axhline(-comparison.margin, color=_LINE, linestyle="--", label=f"margin -{comparison.margin:g}")
    axes.set(xlabel="queries, by change", ylabel=f"change in {LABELS[comparison.metric]}")
    axes.legend()


def _draw_latencies(axes: Axes, comparison: ComparisonRecord) -> None:
    live, candidate = ([getattr(c, name) for c in comparison.changes] for name in ("live_ms", "candidate_ms"))
    ends = [min(*live, *candidate), max(*live, *candidate)]
    axes.plot(live, candidate, ".", color=_BAR, label="query")
    axes.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    axes.set(xlabel="live version, ms", ylabel="candidate, ms", xscale="log", yscale="log")
    axes.legend()


def _draw_scores(axes: Axes, record: RunRecord) -> None:
    scores = [query.scores[record.headline] for query in record.judged]
    axes.hist(scores, bins=np.linspace(0, 1, 21).tolist(), color=_BAR, edgecolor="white")
    mean = record.metrics[record.headline]
    axes.axvline(mean, color=_LINE, label=f"mean {mean:.3f}")
    floor = record.thresholds.at_least.get(record.headline)
    if floor is not None:
        axes.axvline(floor, color="black", linestyle="--", label=f"threshold {floor:g}")
    axes.set(xlabel=f"{LABELS[record.headline]} of a query", ylabel="queries", xlim=(0, 1))
    axes.legend()


def _draw_latency(axes: Axes, record: RunRecord) -> None:
    latencies_ms = np.maximum([query.latency_ms for query in record.queries], 1e-3)
    edges = np.geomspace(latencies_ms.min() * 0.99, latencies_ms.max() * 1.01, 31)
    axes.hist(latencies_ms, bins=edges.tolist(), color=_BAR, edgecolor="white")
    for name, value in (("p50", record.latency.p50_ms), ("p99", record.latency.p99_ms)):
        axes.axvline(value, color=_LINE, linestyle="-" if name == "p50" else "--", label=f"{name} {value:.1f} ms")
    axes.set(xlabel=f"latency, ms (top_k {record.top_k}, {record.connections} at once)", ylabel="queries")
    axes.set_xscale("log")
    axes.legend()
