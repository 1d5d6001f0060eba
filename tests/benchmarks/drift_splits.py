"""Reference and windows of the drift benchmark: disjoint documents of a corpus, a share of a window's exchanged."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact

from include.quarry.drift.clustering import fit_centroids, nearest
from include.quarry.drift.documents import document_means
from include.quarry.drift.window import Embedded
from tests.benchmarks.drift_corpora import Corpora, part, together
from tests.benchmarks.drift_shifts import paraphrase, reword, translate, wrap

REFERENCE, WINDOW, LONG_WINDOW = 900, 100, 300
LASTING = 3
"""Windows in a row for which a shift lasts."""

Split = Callable[[random.Random, float], tuple[Embedded, list[Embedded]]]


@dataclass(frozen=True, slots=True)
class Shift:
    """A way to shift windows. `bound` says why there is no bar, where there is none."""

    split: Split
    bound: str = ""


def unchanged(corpora: Corpora) -> dict[str, Split]:
    """Windows of what the reference is made of, too."""
    kedro, xquad = corpora.kedro("1.0.0"), corpora.queries("xquad_en")
    third = kedro.document_count // 3
    return {
        "cranfield": mixing(corpora.beir("cranfield"), None, windows=1),
        "vaswani": mixing(corpora.beir("vaswani"), None, windows=1),
        "kedro 1.0.0": mixing(kedro, None, kedro.document_count - third, third, windows=1),
        "queries of xquad": mixing(xquad, None, windows=1),
    }


def shifts(corpora: Corpora) -> dict[str, Shift]:
    """Every shift that is measured, by name."""
    cranfield, vaswani, kedro = corpora.beir("cranfield"), corpora.beir("vaswani"), corpora.kedro("1.0.0")
    wrapped, reworded = corpora.beir("cranfield", wrap), corpora.beir("cranfield", paraphrase)
    asked, asked_else = corpora.queries("xquad_en"), corpora.queries("cranfield")
    found = {
        "new topic (vaswani in cranfield)": Shift(mixing(cranfield, vaswani)),
        "new topic (cranfield in vaswani)": Shift(mixing(vaswani, cranfield)),
        "new topic, window of 50": Shift(mixing(cranfield, vaswani, window=50)),
        "known subject grows (vaswani in cranfield)": Shift(mixing(cranfield, vaswani, known=0.1)),
        "known cluster grows": Shift(Growing(cranfield, 600, WINDOW, LASTING), "near what one who knew it would find"),
        "known cluster grows, window of 300": Shift(Growing(cranfield, 600, LONG_WINDOW, 1)),
        "language": Shift(mixing(cranfield, corpora.beir("cranfield", translate))),
        "boilerplate": Shift(mixing(cranfield, wrapped)),
        "paraphrase": Shift(mixing(cranfield, reworded)),
        "paraphrase, half of the words, no mark": Shift(mixing(cranfield, corpora.beir("cranfield", reword))),
        "queries: new subject (cranfield in xquad)": Shift(mixing(asked, asked_else, 900, WINDOW, windows=2)),
    }
    for section in ("api", "deploy"):
        inside = {name for name in kedro.documents if name.startswith(f"{section}/")}
        rest = part(kedro, set(kedro.documents) - inside)
        split = mixing(rest, part(kedro, inside), 60, 40, windows=1)
        found[f"kedro section {section}, window of 40"] = Shift(split, "one observation: 145 documents in all")
    return found


def mixing(
    base: Embedded,
    other: Embedded | None,
    reference: int = REFERENCE,
    window: int = WINDOW,
    *,
    known: float = 0.0,
    windows: int = LASTING,
) -> Split:
    """Documents of `base`, a share of each window's of `other` instead; `known` is the share that the reference has."""

    def split(chance: random.Random, share: float) -> tuple[Embedded, list[Embedded]]:
        foreign, at_home = round((share + known) * window), round(known * reference)
        usual = window - foreign
        names = chance.sample(sorted(set(base.documents)), reference - at_home + windows * usual)
        past, rest = names[: reference - at_home], names[reference - at_home :]
        parts = [part(base, rest[at * usual : (at + 1) * usual]) for at in range(windows)]
        if other is None or not foreign:
            return part(base, past), parts
        strange = chance.sample(sorted(set(other.documents) - set(names)), at_home + windows * foreign)
        fresh = strange[at_home:]
        mixed = [together(p, part(other, fresh[at * foreign : (at + 1) * foreign])) for at, p in enumerate(parts)]
        return together(part(base, past), part(other, strange[:at_home])) if at_home else part(base, past), mixed

    return split


@dataclass(frozen=True, slots=True)
class Dealt:
    """Rows of a corpus's documents: the reference, the windows, and which cluster has grown."""

    past: list[int]
    windows: list[list[int]]
    cluster: int


class Growing:
    """A split like `mixing`: one of the clusters that the reference knows takes that much more of each window."""

    def __init__(self, base: Embedded, reference: int, window: int, windows: int, clusters: int = 8) -> None:
        self._base, self._sizes = base, (reference, window, windows)
        self._names = np.array(sorted(set(base.documents)))
        means = document_means(base.values, base.documents)
        self._cluster_of, _ = nearest(means, fit_centroids(means, clusters, seed=1))

    def __call__(self, chance: random.Random, share: float) -> tuple[Embedded, list[Embedded]]:
        dealt = self.deal(chance, share)
        past, *windows = (part(self._base, self._names[rows].tolist()) for rows in (dealt.past, *dealt.windows))
        return past, windows

    def deal(self, chance: random.Random, share: float) -> Dealt:
        """The cluster is a random one of those that have enough documents left, or else the greatest."""
        reference, window, windows = self._sizes
        dealt = chance.sample(range(len(self._names)), len(self._names))
        more = round(share * window)
        usual, start = window - more, reference + windows * (window - more)
        left = np.array(dealt[start:])
        sizes = np.bincount(self._cluster_of[left])
        cluster = chance.choice(np.flatnonzero(sizes >= min(windows * more, sizes.max())).tolist())
        grown = left[self._cluster_of[left] == cluster].tolist()
        past, rest = dealt[:reference], dealt[reference:start]
        each = [rest[at * usual : (at + 1) * usual] + grown[at * more : (at + 1) * more] for at in range(windows)]
        return Dealt(past, each, cluster)

    def oracle(self, chance: random.Random, share: float) -> float:
        """The p-value of whoever knows which cluster it is: Fisher's exact test of the first window."""
        dealt = self.deal(chance, share)
        counts = []
        for rows in (dealt.windows[0], dealt.past):
            inside = int(np.count_nonzero(self._cluster_of[rows] == dealt.cluster))
            counts.append([inside, len(rows) - inside])
        return float(fisher_exact(counts, alternative="greater").pvalue)
