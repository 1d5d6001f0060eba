"""What a tier does, as metrics on Ray's Prometheus endpoint. They name no tenant: `/v1/usage` does."""

from ray.util.metrics import Counter, Gauge, Histogram

from include.quarry.gateway.caller import PRIORITIES
from include.quarry.generation.answers import Ended
from include.quarry.generation.prices import Prices, cost_of
from include.quarry.generation.protocol import Tier
from include.quarry.generation.queue import Standing

_WAITS_S = [0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60]


class TierMetrics:
    """The counters of one tier."""

    def __init__(self, tier: Tier, prices: Prices) -> None:
        self._tier = tier
        self._prices = prices
        self._ends = Counter("quarry_tier_ends_total", "Parts in answers, by how they ended", ("tier", "how"))
        self._tokens = Counter("quarry_tier_tokens_total", "Tokens of the tier's model", ("tier", "direction"))
        self._engine = Counter("quarry_tier_engine_seconds_total", "Seconds for which slots were held", ("tier",))
        self._cost = Counter("quarry_tier_cost_total", "Price of what was used, by the table", ("tier",))
        self._wait = Histogram("quarry_tier_wait_seconds", "Time in the queue", _WAITS_S, ("tier",))
        self._waiting = Gauge("quarry_tier_waiting", "Requests in the queue", ("tier", "priority"))
        self._busy = Gauge("quarry_tier_busy", "Requests in service", ("tier",))

    def ended(self, ended: Ended) -> None:
        """Count a part in an answer."""
        own: dict[str, str] = {"tier": self._tier}
        usage = ended.usage
        self._ends.inc(1, {**own, "how": ended.how})
        self._wait.observe(ended.waited_s, own)
        amounts = (
            (self._tokens, usage.prompt_tokens, {**own, "direction": "in"}),
            (self._tokens, usage.completion_tokens, {**own, "direction": "out"}),
            (self._engine, usage.engine_s, own),
            (self._cost, cost_of({self._tier: usage}, self._prices), own),
        )
        for counter, amount, tags in amounts:
            if amount > 0:  # Ray refuses to count nothing
                counter.inc(amount, tags)

    def stands(self, standing: Standing) -> None:
        """Show how busy the tier is."""
        self._busy.set(standing.busy, {"tier": self._tier})
        for priority in PRIORITIES:
            self._waiting.set(standing.waiting[priority], {"tier": self._tier, "priority": priority})
