"""One verdict of all statistics, and what it makes of the windows before.

none               nothing that luck does not explain
watch              one window differed
drift              one window differed beyond doubt, or two that were not followed by calm
model_changed      the sentinels moved: an alarm, not a drift
insufficient_data  too few documents to say anything

A window differs when a statistic is significant at ALPHA after Holm's correction (S. Holm, "A simple sequentially
rejective multiple test procedure", 1979: the chance of any false alarm in a window is at most ALPHA, whatever the
dependence between statistics) and its effect is above its floor, because in a huge window everything is significant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from include.quarry.drift.statistic import Statistic

Condition = Literal["none", "watch", "drift"]
Outcome = Literal["none", "watch", "drift", "model_changed", "insufficient_data"]
Level = Literal["calm", "significant", "overwhelming", "unjudged"]

ALPHA = 0.03
"""Below the 5 % of windows that may alarm falsely, so that chance has room there too."""
ALPHA_OVERWHELMING = 0.01
CALM_WINDOWS = 2


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered from window to window of one reference; a new reference begins with `State()`."""

    condition: Condition = "none"
    calm_windows: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision. `level` is about this window alone, `outcome` about it and those before.

    `adjusted` holds Holm's p-value of each statistic that was tested.
    """

    outcome: Outcome
    level: Level
    state: State
    statistics: tuple[Statistic, ...]
    adjusted: Mapping[str, float]
    reasons: tuple[str, ...]

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, also after a way through JSON."""
        state, reasons = State(**parts["state"]), tuple(parts["reasons"])
        statistics = tuple(Statistic(**one) for one in parts["statistics"])
        return cls(**{**parts, "state": state, "statistics": statistics, "reasons": reasons})


def judge(statistics: Sequence[Statistic], state: State) -> Verdict:
    """The verdict about a window after those that led to `state`."""
    adjusted = adjust(statistics)
    alarms = [one for one in statistics if adjusted.get(one.name, 1) <= ALPHA and one.matters]
    surest = min((adjusted[one.name] for one in alarms), default=1.0)
    level: Level = "calm" if not alarms else "overwhelming" if surest <= ALPHA_OVERWHELMING else "significant"
    after = step(state, level)
    reasons = tuple(_reasons(statistics, adjusted, alarms))
    return Verdict(after.condition, level, after, tuple(statistics), adjusted, reasons)


def step(state: State, level: Level) -> State:
    """The state after a window of this level: up at once if overwhelming, else by steps; down after CALM_WINDOWS."""
    if level == "overwhelming" or (level == "significant" and state.condition != "none"):
        return State("drift")
    if level == "significant":
        return State("watch")
    if level == "unjudged" or state.condition == "none":
        return state
    calm = replace(state, calm_windows=state.calm_windows + 1)
    return State() if calm.calm_windows >= CALM_WINDOWS else calm


def adjust(statistics: Sequence[Statistic]) -> dict[str, float]:
    """Holm's adjusted p-value by name, for those that have one."""
    ordered = sorted((one.p_value, one.name) for one in statistics if one.p_value is not None)
    adjusted, least = {}, 0.0
    for rank, (p_value, name) in enumerate(ordered):
        least = max(least, min(1.0, p_value * (len(ordered) - rank)))
        adjusted[name] = least
    return adjusted


def model_changed(sentinels: Statistic, state: State) -> Verdict:
    """The alarm. The state stays: such a window says nothing about the content."""
    reason = (
        f"{sentinels.details['moved']:.0f} of {sentinels.details['texts']:.0f} sentinel texts moved, the furthest by "
        f"{sentinels.value:.4f} (allowed is below {sentinels.floor:g})"
    )
    return Verdict("model_changed", "unjudged", state, (sentinels,), {}, (reason,))


def insufficient_data(reason: str, state: State, statistics: Sequence[Statistic] = ()) -> Verdict:
    """No judgement, and no change of the state."""
    return Verdict("insufficient_data", "unjudged", state, tuple(statistics), {}, (reason,))


def _reasons(
    statistics: Sequence[Statistic], adjusted: Mapping[str, float], alarms: Sequence[Statistic]
) -> Iterator[str]:
    for one in alarms:
        yield f"{one.name} {one.value:.4g} (floor {one.floor:g}), adjusted p {adjusted[one.name]:.4f}: {one.meaning}"
    for one in statistics:
        if adjusted.get(one.name, 1) <= ALPHA and not one.matters:
            yield f"{one.name} {one.value:.4g} is significant but below its floor {one.floor:g}: too small to matter"
    if not alarms:
        yield f"no statistic is significant at {ALPHA:g} with an effect above its floor"
