"""The limiter as the settings say it."""

from include.quarry.catalog.database import Database
from include.quarry.limits.leases import Leases
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.plans import read_plans
from include.quarry.limits.quotas import Quotas
from include.quarry.limits.redis import RedisCounters
from include.quarry.settings import Settings


def open_limiter(settings: Settings, database: Database) -> Limiter:
    """The limiter of one serving process. Raises `Misconfigured` for plans or a Redis that cannot be read."""
    counters = RedisCounters(settings.redis_url) if settings.redis_url else MemoryCounters()
    leases = Leases(counters, when_down=settings.limits_when_down)
    return Limiter(read_plans(settings.plans), leases, Quotas(database), when_down=settings.limits_when_down)
