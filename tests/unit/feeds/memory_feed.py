"""A change feed in memory: partitions are lists, offsets are places in them. The contract suite's first adapter."""

from collections import defaultdict

from include.quarry.errors import Unavailable
from include.quarry.feeds.protocol import Batch, Change, OffsetOf


class MemoryTopic:
    """What several readers of one stream share."""

    def __init__(self) -> None:
        self.partitions: defaultdict[str, list[Change]] = defaultdict(list)
        self.away = False

    def send(self, partition: str, change: Change) -> None:
        """Append a change."""
        self.partitions[partition].append(change)


class MemoryFeed:
    """See `ChangeFeed`. Reads the partitions it is told to hold; more than one reader may hold one."""

    def __init__(self, topic: MemoryTopic, name: str = "memory:topic") -> None:
        self._topic = topic
        self._name = name
        self._next: dict[str, int] = {}
        self.told: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self._name

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        if self._topic.away:
            raise Unavailable("the topic is away")
        batches = []
        for partition, changes in self._topic.partitions.items():
            if partition not in self._next:
                self._next[partition] = int(offset_of(partition) or 0)
            begins = self._next[partition]
            ends = min(begins + limit, len(changes))
            if ends > begins and limit > 0:
                limit -= ends - begins
                self._next[partition] = ends
                batches.append(Batch(partition, str(begins) if begins else None, changes[begins:ends], str(ends)))
        return batches

    def accepted(self, partition: str, offset: str) -> None:
        self.told[partition] = offset

    def rewind(self, partition: str) -> None:
        self._next.pop(partition, None)

    def lag(self) -> dict[str, int]:
        return {name: len(changes) - self._next.get(name, 0) for name, changes in self._topic.partitions.items()}

    def close(self) -> None:
        self._next.clear()
