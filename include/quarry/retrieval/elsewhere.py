"""An index version whose shards are held by other processes, each of which follows the log for itself."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from include.quarry.errors import Unavailable
from include.quarry.records import Scope, Vectors
from include.quarry.retrieval.index import DEPTH
from include.quarry.retrieval.protocol import Found, Holding, Shard
from include.quarry.retrieval.scatter import PartialResults, Scatter
from include.quarry.specs import IndexSpec
from include.quarry.stores.updates import check_k


class ShardsElsewhere:
    """See `SearchIndex`. The watermark is as of the last `step`; what is found says itself how fresh it is."""

    waits = True

    def __init__(
        self, spec: IndexSpec, version: str, shards: Sequence[Shard], *, partial_results: PartialResults
    ) -> None:
        """Raises `Unavailable` unless every shard stands: a version begins to answer when it is whole."""
        self.spec = spec
        self.version = version
        self._shards = shards
        self._scatter = Scatter(spec.shards, shards, waits=True, partial_results=partial_results)
        self._watermark = self._asked()

    @property
    def watermark(self) -> int:
        """The `seq` up to which every shard had applied the log when it was last asked."""
        return self._watermark

    def step(self) -> int:
        """Ask the shards how far they are; they follow by themselves, so nothing waits here. While one is down, the
        last answer stays."""
        with suppress(Unavailable):
            self._watermark = self._asked()
        return 0

    def holding(self, _tenant: str) -> Holding | None:
        """The processes that hold the shards follow the log each for itself, so nobody can say."""
        return None

    def look(self, _connection: object) -> Callable[[], int]:
        """To ask the shards, whatever the log says."""
        return self.step

    def take_over(self, _other: object) -> None:
        """The shards follow by themselves."""

    def find(self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope) -> Found:
        """See `SearchIndex`."""
        check_k(k)
        return self._scatter.find(queries, vectors, k, scope, max(DEPTH, k))

    def _asked(self) -> int:
        return min(shard.standing() for shard in self._shards)
