"""What a person reads in the terminal: a run, a verdict, a comparison."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluation.answer_record import TiersRecord
from evaluation.comparison import Comparison, QueryChange
from evaluation.gate import Outcome, Reason, Verdict
from evaluation.gate_record import GateRecord, ReasonRecord
from evaluation.record import RunRecord

LABELS = {
    "ndcg@10": "nDCG@10",
    "ndcg@10_graded": "nDCG@10 (graded)",
    "p@5": "P@5",
    "recall@10": "Recall@10",
    "recall@100": "Recall@100",
    "mrr@10": "MRR@10",
    "latency_p50_ms": "p50 latency, ms",
    "latency_p99_ms": "p99 latency, ms",
    "ingestion_documents_per_s": "ingestion, docs/s",
}
_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}


def print_run(console: Console, record: RunRecord, verdict: Verdict | None) -> None:
    """The relevance table, with what the gate would say where there are thresholds."""
    checks = {check.measure: check for check in verdict.checks} if verdict else {}
    table = Table(title=f"Relevance of corpus {record.corpus} on suite {record.suite}", title_justify="left")
    for column in ("measure", "value", "threshold", "95% interval"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for measure, value in record.measures.items():
        check = checks.get(measure)
        limit = f"{'≥' if check.relation == 'at least' else '≤'} {check.threshold:g}" if check else ""
        interval = f"{check.interval.low:.4f} to {check.interval.high:.4f}" if check and check.interval else ""
        style = "" if check is None else "green" if check.passed else "red"
        label = LABELS[measure] + (" *" if measure == record.headline else "")
        table.add_row(label, Text(format_measure(measure, value), style=style), limit, interval)
    console.print(table)
    unanswerable = len(record.queries) - len(record.judged)
    console.print(
        f"{len(record.judged)} judged queries, {unanswerable} unanswerable (in no mean) · {record.driver}, "
        f"{record.connections} connection{'s'[: record.connections > 1]}, top_k {record.top_k} · "
        f"index {', '.join(record.index_versions)} at watermark {record.watermark} · * carries the SLO",
        style="dim",
    )
    for note in record.notes:
        console.print(f"note: {note}", style="yellow")
    if record.ingestion:
        console.print(f"ingested {record.ingestion.documents:,} documents in {record.ingestion.seconds:.1f} s")


def print_tiers(console: Console, record: TiersRecord) -> None:
    """The ways to ask, one a column."""
    table = Table(title=f"Tiers on suite {record.suite}", title_justify="left")
    table.add_column("measure")
    for run in record.runs:
        table.add_column(run.wanted, justify="right")
    for measure in record.runs[0].measures:
        table.add_row(measure, *(f"{run.measures[measure]:,.4g}" for run in record.runs))
    console.print(table)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """The decision, and why."""
    print_decision(console, verdict.outcome, verdict.reasons)


def print_gate(console: Console, record: GateRecord, *, rows: int) -> None:
    """A candidate beside the live version: what was checked, the queries that lost most, the decision."""
    if record.checks:
        table = Table(title=f"Candidate {record.candidate} against {record.against}", title_justify="left")
        for column in ("check", "value", "limit"):
            table.add_column(column, justify="left" if column == "check" else "right")
        for check in record.checks:
            limit = f"{'≥' if check.relation == 'at least' else '≤'} {check.threshold:,.4g}"
            value = Text(f"{check.value:,.4g}", style="green" if check.passed else "red")
            table.add_row(LABELS.get(check.measure, check.measure), value, limit)
        console.print(table)
    if record.comparison:
        worst = [QueryChange(c.query_id, c.text, c.live, c.candidate) for c in record.comparison.worst[:rows]]
        _print_changes(console, "Greatest losses", worst)
    print_decision(console, record.outcome, record.reasons)


def print_comparison(console: Console, comparison: Comparison, *, rows: int) -> None:
    """The difference with its interval, then the queries that lost and won most."""
    console.print(comparison.summary, markup=False)
    if comparison.unmatched:
        console.print(f"{comparison.unmatched} judged queries are in one run only and were left out", style="yellow")
    if comparison.difference.significant:
        direction = "better" if comparison.difference.interval.mean > 0 else "worse"
        console.print(f"The second run is significantly {direction}.", style="bold")
    else:
        console.print("No significant difference.", style="bold")
    _print_changes(console, "Greatest losses", comparison.worst[:rows])
    _print_changes(console, "Greatest gains", comparison.best[:rows])


def print_decision(console: Console, outcome: Outcome, reasons: Sequence[Reason | ReasonRecord]) -> None:
    """The outcome, and why."""
    console.print(Text(f"verdict: {outcome}", style=f"bold {_COLOURS[outcome]}"))
    for reason in reasons:
        ground = "" if outcome == "pass" else f"{reason.ground}: "
        console.print(f"  {ground}{reason.text}", markup=False, highlight=False)


def format_measure(measure: str, value: float) -> str:
    """Scores with four decimals, times and rates with one."""
    return f"{value:.4f}" if "@" in measure else f"{value:,.1f}"


def _print_changes(console: Console, title: str, changes: list[QueryChange]) -> None:
    if not changes:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("query")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    table.add_column("text")
    for change in changes:
        numbers = (f"{change.before:.3f}", f"{change.after:.3f}", f"{change.change:+.3f}")
        table.add_row(change.query_id, *numbers, Text(change.text))
    console.print(table)
