"""What a backfill came to: its texts, its losses, its cost and its pace; as JSON, as a page and as lines of a log."""

import html
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.figure import Figure

from ray_apps.jobs.node_watch import read_node_use
from ray_apps.jobs.worker_journal import Entry, read_journals

_STYLE = "<style>body{font-family:sans-serif}th{text-align:left;padding-right:2em}</style>"


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """Of all attempts of one plan.

    `embedded` includes what a worker kept that died before it could say so, as the next one with its unit found it.
    `embedded_again` counts texts whose engine work was done twice: a second vector kept, or one thrown away because
    its worker had been taken for dead. `units_cut_short` are those whose worker died over them, and `units_resumed`
    those that were handed out again.
    `engine_s` is the time of calls that came to an end. `kept` is the pace: pairs of seconds since the first worker
    began and texts embedded until then.
    """

    corpus: str
    space: str
    embedded: int
    embedded_again: int
    units: int
    units_resumed: int
    units_cut_short: int
    attempts: int
    workers: int
    workers_noticed: int
    nodes_joined: int
    nodes_lost: int
    nodes_left: int
    node_seconds: dict[str, float]
    cost: float
    engine_s: float
    wall_s: float
    kept: list[tuple[float, int]]

    @property
    def summary(self) -> dict[str, object]:
        """Everything but the pace."""
        return {name: value for name, value in asdict(self).items() if name != "kept"}

    def lines(self) -> list[str]:
        """For the log of the job."""
        seconds = ", ".join(f"{name} {s:,.0f}" for name, s in self.node_seconds.items()) or "none seen"
        return [
            f"{self.embedded:,} texts embedded in {self.wall_s:,.0f} s, {self.embedded_again} of them more than once; "
            f"the engines took {self.engine_s:,.0f} s",
            f"{self.workers} workers in {self.attempts} attempts, {self.workers_noticed} left on notice; "
            f"{self.units_resumed} of {self.units} units resumed, {self.units_cut_short} lost their worker",
            f"{self.nodes_joined} nodes, {self.nodes_lost} lost, {self.nodes_left} left in good order; "
            f"node-seconds: {seconds}; cost {self.cost:,.2f}",
        ]

    def save(self, folder: Path, name: str) -> Path:
        """Write `<name>-<time>.json` and `.html`; gives the page."""
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}.html"
        page.with_suffix(".json").write_text(json.dumps(asdict(self), indent=1))
        page.write_text(self._page())
        return page

    def _page(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{html.escape(str(v))}</td></tr>" for name, v in self.summary.items())
        title = html.escape(f"Backfill of {self.corpus}")
        head = f"<!doctype html><meta charset=utf-8><title>{title}</title>{_STYLE}"
        return f"{head}<h1>{title}</h1>{self._picture()}<table>{rows}</table>"

    def _picture(self) -> str:
        """An SVG of the texts embedded over time: a loss of workers shows as a flatter stretch."""
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots()
        axes.step([0.0, *(at for at, _ in self.kept)], [0, *(count for _, count in self.kept)], where="post")
        axes.set(xlabel="seconds", ylabel="texts embedded", ylim=(0, None))
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg")
        return "".join(drawing.getvalue().partition("<svg")[1:])  # less the XML declaration


def report_of(attempts: Path, corpus: str, space: str, prices: Mapping[str, float]) -> BackfillReport:
    """Read what the attempts left in their folders. `prices` are per hour, by node class; others cost nothing."""
    entries = sorted(read_journals(attempts), key=lambda entry: entry.at)
    use = read_node_use(attempts)
    ended = [entry for entry in entries if entry.event == "ended"]
    begun = Counter(entry.facts["unit"] for entry in entries if entry.event == "begun")
    kept = Counter(text for entry in ended for text in entry.facts["kept"])
    found = {text for entry in ended if begun[entry.facts["unit"]] > 1 for text in entry.facts["found"]}
    discarded = sum(entry.facts["discarded"] for entry in ended)
    return BackfillReport(
        corpus=corpus,
        space=space,
        embedded=len(found | set(kept)),
        embedded_again=kept.total() - len(kept) + discarded,
        units=len(begun),
        units_resumed=sum(times > 1 for times in begun.values()),
        units_cut_short=begun.total() - len(ended),
        attempts=sum(path.is_dir() for path in attempts.iterdir()) if attempts.exists() else 0,
        workers=_count(entries, "started"),
        workers_noticed=_count(entries, "noticed"),
        nodes_joined=use.joined,
        nodes_lost=use.lost,
        nodes_left=use.left,
        node_seconds={name: round(seconds, 1) for name, seconds in sorted(use.seconds.items())},
        cost=round(sum(seconds / 3600 * prices.get(name, 0.0) for name, seconds in use.seconds.items()), 4),
        engine_s=round(_busy_s(ended), 2),
        wall_s=round(entries[-1].at - entries[0].at, 2) if entries else 0.0,
        kept=_pace(ended, entries[0].at if entries else 0.0),
    )


def _count(entries: Sequence[Entry], event: str) -> int:
    return sum(entry.event == event for entry in entries)


def _busy_s(ended: Sequence[Entry]) -> float:
    """Seconds in which an engine was at work. A worker has two calls at once, of which one may wait for the other."""
    total, busy_until = 0.0, dict[str, float]()
    for entry in sorted(ended, key=lambda entry: entry.at - entry.facts["engine_s"]):
        begun_at = max(entry.at - entry.facts["engine_s"], busy_until.get(entry.worker, 0.0))
        total += max(0.0, entry.at - begun_at)
        busy_until[entry.worker] = max(entry.at, busy_until.get(entry.worker, 0.0))
    return total


def _pace(ended: Sequence[Entry], started_at: float) -> list[tuple[float, int]]:
    pace, total = [], 0
    for entry in ended:
        total += len(entry.facts["kept"])
        pace.append((round(entry.at - started_at, 2), total))
    return pace
