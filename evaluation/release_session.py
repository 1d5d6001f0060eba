"""The commands about generation releases: judge one, and have MLflow's registries hold them."""

import asyncio

from rich.console import Console
from rich.table import Table

from evaluation.judgments import load_suite
from evaluation.release_gate import Asked, gate_release
from evaluation.release_record import ReleaseRecord
from evaluation.report import print_decision
from include.quarry.settings import Settings

DEFAULT_SUITE = "quarry_answers"


def judge_release(release_id: str, suite: str | None, settings: Settings, asked: Asked) -> ReleaseRecord:
    """Hold a release against the live one. Raises what `gate_release` does."""
    return asyncio.run(gate_release(release_id, load_suite(suite or DEFAULT_SUITE), settings, asked))


def tell_registries(tracking_uri: str, settings: Settings) -> int:
    """Have the registries hold what the catalog says; gives how many releases that are. Raises `Unavailable`."""
    from evaluation.registries import hold, read_holdings  # noqa: PLC0415 mlflow takes seconds to import
    from evaluation.tracking import connect  # noqa: PLC0415

    client, holdings = connect(tracking_uri), read_holdings(settings)
    hold(client, holdings)
    return sum(len(held.releases) for held in holdings)


def print_release(console: Console, record: ReleaseRecord) -> None:
    """Both sides, what was checked, the decision."""
    table = Table(
        title=f"Release {record.candidate} against {record.against}, tier {record.tier}", title_justify="left"
    )
    for column in ("measure", "live", "candidate"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    candidate = record.candidate_run.measures
    for measure, value in record.live_run.measures.items():
        table.add_row(measure, f"{value:,.4g}", f"{candidate[measure]:,.4g}")
    console.print(table)
    for check in record.checks:
        sign = "≥" if check.relation == "at least" else "≤"
        style = "green" if check.passed else "red"
        console.print(f"{check.measure}: {check.value:.4g} {sign} {check.threshold:g}", style=style, highlight=False)
    print_decision(console, record.outcome, record.reasons)
