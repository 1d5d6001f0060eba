"""Drift over time as a picture: a panel a statistic, a dot a window, and the line above which it alarms."""

from collections.abc import Sequence
from datetime import UTC

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from include.quarry.drift.memory import JudgedWindow
from include.quarry.drift.verdict import ALPHA, ALPHA_OVERWHELMING

_COLOURS = {
    "none": "#4878a8",
    "watch": "#e6a117",
    "drift": "#c0392b",
    "model_changed": "#8e44ad",
    "insufficient_data": "#bbbbbb",
}


def draw_trend(history: Sequence[JudgedWindow]) -> Figure:
    """The windows in the order of time: each statistic's effect with its floor, then the adjusted probabilities.

    A dot has the colour of the window's outcome, and is filled where that statistic alone was significant.
    """
    history = sorted(history, key=lambda window: window.until)
    names = list(dict.fromkeys(one.name for window in history for one in window.verdict.statistics))
    figure = Figure(figsize=(11, 1.9 * (len(names) + 1)), layout="constrained")
    panels = figure.subplots(len(names) + 1, 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=False):
        _draw_effect(axes, name, history)
    _draw_probabilities(panels[-1], history)
    outcomes = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in _COLOURS.values()]
    figure.supxlabel("filled: significant by itself; dashed: the floor of an effect, the levels of an alarm", size=8)
    figure.legend(outcomes, list(_COLOURS), loc="outside upper center", ncols=len(_COLOURS), fontsize=8)
    return figure


def _draw_effect(axes: Axes, name: str, history: Sequence[JudgedWindow]) -> None:
    points = [(w, one) for w in history for one in w.verdict.statistics if one.name == name]
    axes.plot([_day(window) for window, _ in points], [one.value for _, one in points], color="#cccccc", zorder=1)
    for window, one in points:
        colour = _COLOURS[window.verdict.outcome]
        sure = window.verdict.adjusted.get(name, 0.0 if one.matters else 1.0) <= ALPHA
        axes.plot(_day(window), one.value, "o", color=colour, fillstyle="full" if sure else "none", markersize=6)
    axes.axhline(points[0][1].floor, color="black", linestyle="--", linewidth=0.8)
    axes.set_ylabel(name.replace("_", "\n"), fontsize=9)


def _draw_probabilities(axes: Axes, history: Sequence[JudgedWindow]) -> None:
    names = sorted({name for window in history for name in window.verdict.adjusted})
    for name in names:
        points = [(_day(w), w.verdict.adjusted[name]) for w in history if name in w.verdict.adjusted]
        axes.plot([day for day, _ in points], [p for _, p in points], marker=".", linewidth=0.8, label=name)
    for level in (ALPHA, ALPHA_OVERWHELMING):
        axes.axhline(level, color="black", linestyle="--", linewidth=0.8)
    axes.set(yscale="log", ylabel="adjusted p")
    axes.tick_params(axis="x", labelrotation=20)
    if names:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _day(window: JudgedWindow) -> np.datetime64:
    """The window's end in UTC, as matplotlib's types know time."""
    return np.datetime64(window.until.astimezone(UTC).replace(tzinfo=None))
