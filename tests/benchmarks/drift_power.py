"""How often drift is called where nothing changed, and how often a real or injected shift is found in one window.

Every split is of whole documents. An alarm is any verdict but `none`, a find is `drift` in the first window: both are
the strict reading. A shift of 20 % replaces a fifth of the window's documents; the reference has seen none of them.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import beta

from include.quarry.drift.clustering import fit_centroids, nearest
from include.quarry.drift.detection import detect
from include.quarry.drift.documents import document_means
from include.quarry.drift.reference import remember
from include.quarry.drift.verdict import State, Verdict
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Vectors
from tests.benchmarks.drift_corpora import KEDRO, Corpora, changed, part, together
from tests.benchmarks.drift_shifts import paraphrase, translate, wrap
from tests.benchmarks.report import Report, Row

NAME = "drift_power"
SHARES = (0.05, 0.1, 0.2, 0.3)
JUDGED_SHARE = 0.2
MAX_ALARMS_PERCENT, MIN_FOUND_PERCENT = 5.0, 90.0
REFERENCE, WINDOW, LONG_WINDOW = 900, 100, 300
_NOW = datetime(2026, 1, 1, tzinfo=UTC)

Split = Callable[[random.Random, float], tuple[Embedded, Embedded]]


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of `rounds` windows were called, counting `drift` alone and `watch` too."""

    rounds: int
    drifts: int
    alarms: int

    def __str__(self) -> str:
        low, high = interval(self.alarms, self.rounds)
        drift = interval(self.drifts, self.rounds)
        return (
            f"drift {self.drifts}/{self.rounds} = {self.drifts / self.rounds:.1%} ({drift[0]:.1%} to {drift[1]:.1%}), "
            f"watch or drift {self.alarms / self.rounds:.1%} ({low:.1%} to {high:.1%})"
        )


def run(folder: Path, data: Path, splits: int) -> Report:
    """False alarms over `splits` random splits of each unchanged set, power over a quarter as many of each shift."""
    if missing := [name for name in ("cranfield", "vaswani", KEDRO) if not (data / name).exists()]:
        return Report(NAME, skipped=f"{data} has no {', '.join(missing)}")
    corpora = Corpora(data, folder / NAME, folder / "home" / "models")
    started = time.perf_counter()
    rows, notes = [], []
    for name, split in _unchanged(corpora).items():
        rate = _measure(name, split, 0.0, splits, notes)
        percent = 100 * rate.alarms / rate.rounds
        rows.append(Row(f"alarms: {name}", [], [percent], percent, "%", at_most=MAX_ALARMS_PERCENT))
    curves: dict[str, list[float]] = {}
    for name, (split, judged) in _shifts(corpora).items():
        rates = {share: _measure(name, split, share, max(splits // 4, 1), notes) for share in SHARES}
        curves[name] = [100 * rate.drifts / rate.rounds for rate in rates.values()]
        found = 100 * rates[JUDGED_SHARE].drifts / rates[JUDGED_SHARE].rounds
        rows.append(Row(f"found: {name}", [], [found], found, "%", at_least=MIN_FOUND_PERCENT if judged else None))
    rows += _releases(corpora, max(splits // 10, 1), notes)
    unjudged = [name for name, (_, judged) in _shifts(corpora).items() if not judged]
    notes.append(f"without a bar, for a window of that size does not show it reliably: {'; '.join(unjudged)}")
    notes.append(f"{time.perf_counter() - started:.0f} s altogether; intervals are Clopper's and Pearson's at 95 %")
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(curves).savefig(folder / f"{NAME}_curves.png", dpi=120)
    return Report(NAME, rows, notes)


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


def _unchanged(corpora: Corpora) -> dict[str, Split]:
    kedro = corpora.kedro("1.0.0")
    third = kedro.document_count // 3
    return {
        "cranfield": _mixing(corpora.beir("cranfield"), None),
        "vaswani": _mixing(corpora.beir("vaswani"), None),
        "kedro 1.0.0": _mixing(kedro, None, kedro.document_count - third, third),
    }


def _shifts(corpora: Corpora) -> dict[str, tuple[Split, bool]]:
    """Each with whether it is judged: what a window of the size cannot show is measured, and said, but not judged."""
    cranfield, vaswani, kedro = corpora.beir("cranfield"), corpora.beir("vaswani"), corpora.kedro("1.0.0")
    wrapped, reworded = corpora.beir("cranfield", wrap), corpora.beir("cranfield", paraphrase)
    shifts = {
        "new topic (vaswani in cranfield)": (_mixing(cranfield, vaswani), True),
        "new topic (cranfield in vaswani)": (_mixing(vaswani, cranfield), True),
        "new topic, window of 50": (_mixing(cranfield, vaswani, window=50), True),
        "language": (_mixing(cranfield, corpora.beir("cranfield", translate)), True),
        "boilerplate": (_mixing(cranfield, wrapped), False),
        "boilerplate, window of 300": (_mixing(cranfield, wrapped, window=LONG_WINDOW), True),
        "paraphrase": (_mixing(cranfield, reworded), False),
        "paraphrase, window of 300": (_mixing(cranfield, reworded, window=LONG_WINDOW), True),
        "known topic grows": (_growing(cranfield), False),
    }
    for section in ("api", "deploy"):
        inside = {name for name in kedro.documents if name.startswith(f"{section}/")}
        rest = part(kedro, set(kedro.documents) - inside)
        shifts[f"kedro section {section}, window of 40"] = (_mixing(rest, part(kedro, inside), 60, 40), False)
    return shifts


def _mixing(base: Embedded, other: Embedded | None, reference: int = REFERENCE, window: int = WINDOW) -> Split:
    """Reference and window are disjoint documents of `base`; a share of the window's is of `other` instead."""

    def split(chance: random.Random, share: float) -> tuple[Embedded, Embedded]:
        foreign = round(share * window)
        names = chance.sample(sorted(set(base.documents)), reference + window - foreign)
        past, usual = names[:reference], names[reference:]
        rows = part(base, usual)
        if other is None or not foreign:
            return part(base, past), rows
        candidates = sorted(set(other.documents) - set(names))
        return part(base, past), together(rows, part(other, chance.sample(candidates, foreign)))

    return split


def _growing(base: Embedded, topics: int = 8) -> Split:
    """One of the topics that the reference knows takes that much more of the window."""
    names = np.array(sorted(set(base.documents)))
    means = document_means(base.values, base.documents)
    topic_of, _ = nearest(means, fit_centroids(means, topics, seed=1))

    def split(chance: random.Random, share: float) -> tuple[Embedded, Embedded]:
        dealt = np.array(chance.sample(range(len(names)), len(names)))
        past, rest = dealt[:REFERENCE], dealt[REFERENCE:]
        more = round(share * WINDOW)
        big = [topic for topic in range(topics) if np.count_nonzero(topic_of[rest[WINDOW - more :]] == topic) >= more]
        usual, others = rest[: WINDOW - more], rest[WINDOW - more :]
        grown = others[topic_of[others] == chance.choice(big)][:more]
        return part(base, names[past].tolist()), part(base, names[[*usual, *grown]].tolist())

    return split


def _releases(corpora: Corpora, rounds: int, notes: list[str]) -> Iterator[Row]:
    """One release's documents as the reference, what the next one changed as the window; the seed alone varies."""
    for before, after, real in (("0.19.10", "1.0.0", True), ("1.0.0", "HEAD", False)):
        old, new = corpora.kedro(before), corpora.kedro(after)
        window = changed(old, new)
        verdicts = [_judge(old, window, seed) for seed in range(rounds)]
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
        past, window = split(random.Random(f"{name} {share} {seed}"), share)
        verdicts.append(_judge(past, window, seed))
    rate = _rate(verdicts)
    notes.append(f"{name}, {share:.0%} shifted: {rate}; {_by_statistic(verdicts)}")
    print(f"  {notes[-1]}", flush=True)
    return rate


def _judge(past: Embedded, window: Embedded, seed: int) -> Verdict:
    sentinels = Vectors(past.vectors.fingerprint, past.values[:1])
    reference = remember(past, sentinels, corpus="bench", made_at=_NOW, seed=seed)
    return detect(reference, Window(window, _NOW, _NOW), sentinels, State(), seed=seed)


def _rate(verdicts: list[Verdict]) -> Rate:
    outcomes = [verdict.outcome for verdict in verdicts]
    return Rate(len(outcomes), outcomes.count("drift"), len(outcomes) - outcomes.count("none"))


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
