"""What a benchmark found: rows of product against floor with their bars, as a table, as JSON and as a picture."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

BUSY_LOAD = 2.5
_FLOOR, _PRODUCT = "#999999", "#4878a8"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure over all rounds. `value` is what the bar is about: a median of ratios or of differences.

    `bar` is a bound from below for `at_least`, from above for `at_most`; None where nothing is judged.
    """

    measure: str
    floor: list[float]
    product: list[float]
    value: float
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bar(self) -> str:
        """The bounds in words."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    @property
    def met(self) -> bool | None:
        """Whether the bounds are kept; None where there are none."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark says. A benchmark that cannot run here says why in `skipped`."""

    name: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def met(self) -> bool:
        return all(row.met is not False for row in self.rows)


def machine() -> str:
    """Where and under which load this is measured; a busy machine is called so."""
    load = os.getloadavg()[0]
    cores, memory_gib = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    text = f"{platform.machine()}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"
    busy = f"; BUSY, above {BUSY_LOAD}: trust ratios at most" if load > BUSY_LOAD else ""
    return f"{text}, load average {load:.1f}{busy}"


def show(report: Report, console: Console) -> None:
    """The table of one report."""
    if report.skipped:
        console.print(f"{report.name}: skipped, {report.skipped}")
        return
    table = Table("measure", "floor", "product", "judged", "bar", "", title=report.name, title_justify="left")
    for row in report.rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        table.add_row(
            row.measure, _spread(row.floor), _spread(row.product), f"{row.value:.2f} {row.unit}", row.bar, verdict
        )
    console.print(table)
    for note in report.notes:
        console.print(f"  {note}")


def keep(report: Report, conditions: Sequence[str], folder: Path) -> None:
    """Write `folder/<name>.json`, and the picture beside it."""
    if report.skipped:
        return
    folder.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {"at": when, "machine": list(conditions), **asdict(report), "met": report.met}
    (folder / f"{report.name}.json").write_text(json.dumps(document, indent=1))
    if report.rows:
        draw(report).savefig(folder / f"{report.name}.png", dpi=120)


def draw(report: Report) -> Figure:
    """For each measure the median of either side as a bar, and every round as a dot."""
    figure = Figure(figsize=(3.2 * len(report.rows), 3.8), layout="constrained")
    for axes, row in zip(figure.subplots(1, len(report.rows), squeeze=False)[0], report.rows, strict=True):
        sides = (("floor", row.floor, _FLOOR), ("product", row.product, _PRODUCT))
        for name, values, colour in sides:
            if values:
                axes.bar(name, median(values), color=colour)
                axes.plot([name] * len(values), values, "k.", alpha=0.5)
        axes.set_title(f"{row.measure}\n{row.value:.2f} {row.unit}", fontsize=9)
    figure.suptitle(report.name)
    return figure


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f}..{max(values):.2f})"
