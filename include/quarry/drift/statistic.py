"""What one statistic says about one window."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Statistic:
    """A size, and the probability of one as large without any drift.

    `value` is an effect size, so that it can be compared between windows of different length; below `floor` a
    difference may be real but does not matter. `p_value` is None where nothing is tested; `details` are for the reader.
    """

    name: str
    value: float
    floor: float
    p_value: float | None
    meaning: str
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def matters(self) -> bool:
        """Whether the effect is large enough to act upon."""
        return self.value >= self.floor
