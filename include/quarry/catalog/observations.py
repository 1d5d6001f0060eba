"""What was seen of a candidate while it answered live queries beside the live version."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from include.quarry.catalog.schema import observations


@dataclass(slots=True)
class Observation:
    """Sums over `queries` that both versions answered; latencies in milliseconds, one for each answer."""

    queries: int = 0
    failures: int = 0
    overlap: float = 0.0
    correlation: float = 0.0
    live_ms: list[float] = field(default_factory=list)
    candidate_ms: list[float] = field(default_factory=list)

    def add(self, other: "Observation") -> None:
        """Count what the other one saw too."""
        self.queries += other.queries
        self.failures += other.failures
        self.overlap += other.overlap
        self.correlation += other.correlation
        self.live_ms += other.live_ms
        self.candidate_ms += other.candidate_ms

    @property
    def mean_overlap(self) -> float:
        """Overlap@10, 0 to 1."""
        return self.overlap / self.queries if self.queries else 0.0

    @property
    def mean_correlation(self) -> float:
        """Rank correlation of the shared hits, -1 to 1."""
        return self.correlation / self.queries if self.queries else 0.0


def record_observation(connection: sa.Connection, version_id: str, seen: Observation) -> None:
    """Append what one replica saw of a candidate since it last wrote."""
    values = {name: getattr(seen, name) for name in Observation.__slots__}
    connection.execute(sa.insert(observations).values(version_id=version_id, observed_at=datetime.now(UTC), **values))


def read_observations(connection: sa.Connection, version_id: str, since: datetime) -> Observation:
    """Everything that all replicas saw of a candidate since a time, added up."""
    o = observations.c
    query = sa.select(*(o[name] for name in Observation.__slots__))
    total = Observation()
    for row in connection.execute(query.where(o.version_id == version_id, o.observed_at >= since)):
        total.add(Observation(*row))
    return total


def forget_observations(connection: sa.Connection, version_ids: Sequence[str]) -> None:
    """Drop what was seen of versions that are gone."""
    connection.execute(sa.delete(observations).where(observations.c.version_id.in_(version_ids)))
