"""What an answer costs: a table of prices by tier, read from a file such as `include/prices.yaml`."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from include.quarry.errors import Misconfigured
from include.quarry.generation.protocol import Tier, Usage

COST_DIGITS = 9
"""After the point: what costs are rounded to."""


class Price(BaseModel):
    """What one tier charges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_1k_prompt_tokens: float = Field(0, ge=0)
    per_1k_completion_tokens: float = Field(0, ge=0)
    per_engine_second: float = Field(0, ge=0)

    def of(self, usage: Usage) -> float:
        """The price of what was used."""
        tokens = (
            usage.prompt_tokens * self.per_1k_prompt_tokens + usage.completion_tokens * self.per_1k_completion_tokens
        )
        return tokens / 1000 + usage.engine_s * self.per_engine_second


Prices = Mapping[Tier, Price]
"""A tier that is not in the table is free."""

_TABLE = TypeAdapter(dict[Tier, Price])


def cost_of(spent: Mapping[Tier, Usage], prices: Prices) -> float:
    """The price of an answer for which several tiers may have been asked."""
    return round(sum(prices[tier].of(usage) for tier, usage in spent.items() if tier in prices), COST_DIGITS)


def read_prices(path: Path) -> Prices:
    """The table in a file. Raises `Misconfigured` when it is none."""
    try:
        return _TABLE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Misconfigured(
            f"{path} is no table of prices: {error}; include/prices.yaml shows what one looks like"
        ) from error
