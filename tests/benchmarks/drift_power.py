"""How often drift is called where nothing changed, and how often a real or injected shift is found.

Every split is of whole documents. An alarm is any verdict but `none`, a find is `drift` in the first window: both are
the strict reading. A shift of 20 % replaces a fifth of the window's documents; the reference has seen none of them.
A shift that lasts is shown again, by other documents, for as long as it is not found: up to three windows in a row.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import beta

from include.quarry.drift.detection import detect
from include.quarry.drift.reference import remember
from include.quarry.drift.verdict import ALPHA_OVERWHELMING, State, Verdict
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Vectors
from tests.benchmarks.drift_corpora import KEDRO, Corpora, changed
from tests.benchmarks.drift_splits import Growing, Shift, Split, shifts, unchanged
from tests.benchmarks.report import Report, Row

NAME = "drift_power"
SHARES = (0.05, 0.1, 0.2, 0.3)
JUDGED_SHARE = 0.2
MAX_ALARMS_PERCENT, MIN_FOUND_PERCENT = 5.0, 90.0
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of `rounds` were drift in their first window, drift in any, and anything but none in the first."""

    rounds: int
    drifts: int
    in_the_end: int
    alarms: int

    def __str__(self) -> str:
        low, high = interval(self.alarms, self.rounds)
        drift = interval(self.drifts, self.rounds)
        return (
            f"drift {self.drifts}/{self.rounds} = {self.drifts / self.rounds:.1%} ({drift[0]:.1%} to {drift[1]:.1%}), "
            f"within all windows {self.in_the_end / self.rounds:.1%}, "
            f"watch or drift {self.alarms / self.rounds:.1%} ({low:.1%} to {high:.1%})"
        )


def run(folder: Path, data: Path, splits: int) -> Report:
    """False alarms over `splits` random splits of each unchanged set, power over a quarter as many of each shift."""
    if missing := [name for name in ("cranfield", "vaswani", "xquad_en", KEDRO) if not (data / name).exists()]:
        return Report(NAME, skipped=f"{data} has no {', '.join(missing)}")
    corpora = Corpora(data, folder / NAME, folder / "home" / "models")
    started = time.perf_counter()
    rows, notes = [], []
    for name, split in unchanged(corpora).items():
        rate = _measure(name, split, 0.0, splits, notes)
        percent = 100 * rate.alarms / rate.rounds
        rows.append(Row(f"alarms: {name}", [], [percent], percent, "%", at_most=MAX_ALARMS_PERCENT))
    curves: dict[str, list[float]] = {}
    for name, shift in shifts(corpora).items():
        rows += _of_shift(name, shift, max(splits // 4, 1), curves, notes)
    rows += _releases(corpora, max(splits // 10, 1), notes)
    notes.append(f"{time.perf_counter() - started:.0f} s altogether; intervals are Clopper's and Pearson's at 95 %")
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(curves).savefig(folder / f"{NAME}_curves.png", dpi=120)
    return Report(NAME, rows, notes)


def _of_shift(name: str, shift: Shift, rounds: int, curves: dict[str, list[float]], notes: list[str]) -> Iterator[Row]:
    rates = {
        share: _measure(name, shift.split, share, rounds if share == JUDGED_SHARE else max(rounds // 2, 1), notes)
        for share in SHARES
    }
    curves[name] = [100 * rate.drifts / rate.rounds for rate in rates.values()]
    judged = rates[JUDGED_SHARE]
    found, in_the_end = 100 * judged.drifts / rounds, 100 * judged.in_the_end / rounds
    bar = None if shift.bound else MIN_FOUND_PERCENT
    yield Row(f"found: {name}", [], [found], found, "%", at_least=bar)
    if found < in_the_end:
        yield Row(f"found within 3 windows: {name}", [], [in_the_end], in_the_end, "%", at_least=None)
    if isinstance(shift.split, Growing):
        oracle = [shift.split.oracle(_chance(name, JUDGED_SHARE, seed), JUDGED_SHARE) for seed in range(rounds)]
        power = np.mean([p <= ALPHA_OVERWHELMING for p in oracle])
        notes.append(f"{name}: who knew the cluster and tested nothing else would find {power:.0%}")
    if shift.bound:
        notes.append(f"{name} has no bar: {shift.bound}")


def interval(count: int, rounds: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of C. J. Clopper and E. S. Pearson, 1934."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, rounds - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, rounds - count)) if count < rounds else 1.0
    return low, high


def draw_curves(curves: dict[str, list[float]]) -> Figure:
    """Power against the shifted share, a line a shift."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, (name, found) in enumerate(curves.items()):
        axes.plot([100 * share for share in SHARES], found, marker="o", color=f"C{number % 10}", label=name)
        axes.lines[-1].set_linestyle("-" if number < 10 else "--")
    axes.axhline(MIN_FOUND_PERCENT, color="black", linestyle="--", linewidth=0.8)
    axes.axvline(100 * JUDGED_SHARE, color="black", linestyle="--", linewidth=0.8)
    axes.set(xlabel="share of the window that is shifted, %", ylabel="called drift in one window, %", ylim=(-3, 103))
    axes.legend(fontsize=8)
    return figure


def _releases(corpora: Corpora, rounds: int, notes: list[str]) -> Iterator[Row]:
    """One release's documents as the reference, what the next one changed as the window; the seed alone varies."""
    for before, after, real in (("0.19.10", "1.0.0", True), ("1.0.0", "HEAD", False)):
        old, new = corpora.kedro(before), corpora.kedro(after)
        window = changed(old, new)
        verdicts = [_judge(old, [window], seed) for seed in range(rounds)]
        rate = _rate(verdicts)
        name = f"kedro {before} to {after}"
        notes.append(
            f"{name} ({window.document_count} new or changed documents): drift {rate.drifts}, watch or drift "
            f"{rate.alarms} of {rate.rounds} seeds; the documents are the same each time, so this is one observation"
        )
        percent = 100 * (rate.drifts if real else rate.alarms) / rate.rounds
        bar = {"at_least": MIN_FOUND_PERCENT} if real else {"at_most": MAX_ALARMS_PERCENT}
        yield Row(f"{'found' if real else 'alarms'}: {name}", [], [percent], percent, "%", **bar)


def _measure(name: str, split: Split, share: float, rounds: int, notes: list[str]) -> Rate:
    verdicts = []
    for seed in range(rounds):
        past, windows = split(_chance(name, share, seed), share)
        verdicts.append(_judge(past, windows, seed))
    rate = _rate(verdicts)
    notes.append(f"{name}, {share:.0%} shifted: {rate}; {_by_statistic([first for first, *_ in verdicts])}")
    print(f"  {notes[-1]}", flush=True)
    return rate


def _chance(name: str, share: float, seed: int) -> random.Random:
    return random.Random(f"{name} {share} {seed}")


def _judge(past: Embedded, windows: list[Embedded], seed: int) -> list[Verdict]:
    """The verdicts about one window after another, up to the first drift."""
    sentinels = Vectors(past.vectors.fingerprint, past.values[:1])
    reference = remember(past, sentinels, corpus="bench", made_at=_NOW, seed=seed)
    verdicts: list[Verdict] = []
    for day, window in enumerate(windows):
        since, state = _NOW + timedelta(days=day), verdicts[-1].state if verdicts else State()
        verdicts.append(detect(reference, Window(window, since, since), sentinels, state, seed=seed + day))
        if verdicts[-1].outcome == "drift":
            break
    return verdicts


def _rate(rounds: list[list[Verdict]]) -> Rate:
    first = [verdicts[0].outcome for verdicts in rounds]
    last = [verdicts[-1].outcome for verdicts in rounds]
    return Rate(len(rounds), first.count("drift"), last.count("drift"), len(first) - first.count("none"))


def _by_statistic(verdicts: list[Verdict]) -> str:
    """The share of windows in which each statistic by itself was significant at 5 %, before any correction."""
    names = verdicts[0].adjusted
    raw = {
        name: np.mean(
            [one.p_value <= 0.05 for v in verdicts for one in v.statistics if one.name == name and one.p_value]
        )
        for name in names
    }
    return "p < .05: " + ", ".join(f"{name} {share:.0%}" for name, share in raw.items())
