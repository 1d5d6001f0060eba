"""An index version in shards, all held by this process: each shard is an index of its own documents."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from include.quarry.errors import IncompleteIndex
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Scope, Vectors
from include.quarry.retrieval.holdings import together
from include.quarry.retrieval.index import DEPTH, Index
from include.quarry.retrieval.placement import place_of_key, shard_of
from include.quarry.retrieval.protocol import Found, Holding
from include.quarry.retrieval.scatter import PartialResults, Scatter
from include.quarry.specs import IndexSpec
from include.quarry.stores.servers import StoreServers
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import check_k

_KIND = "sharded-index"
_NO_SERVERS = StoreServers()


class ShardedIndex:
    """Looks like one index to whoever searches it, follows the log into it, or proves it complete."""

    def __init__(
        self, spec: IndexSpec, version: str, shards: Sequence[Index], *, partial_results: PartialResults = "error"
    ) -> None:
        self.spec = spec
        self.version = version
        self._shards = shards
        self._scatter = Scatter(spec.shards, shards, waits=self.waits, partial_results=partial_results)

    @property
    def watermark(self) -> int:
        """The `seq` up to which every shard has applied the log."""
        return min(shard.watermark for shard in self._shards)

    @property
    def waits(self) -> bool:
        """See `SearchIndex`."""
        return any(shard.waits for shard in self._shards)

    @classmethod
    def create(cls, spec: IndexSpec, version: str, scratch: Path, *, servers: StoreServers = _NO_SERVERS) -> Self:
        """Shards that hold nothing yet; see `Index.create`."""
        return cls(
            spec,
            version,
            [
                Index.create(spec, shard_version(version, number), scratch / shard_name(number), servers=servers)
                for number in range(spec.shards.count)
            ],
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        scratch: Path,
        *,
        servers: StoreServers = _NO_SERVERS,
        partial_results: PartialResults = "error",
    ) -> Self:
        """The shards that `seal` put together; see `Index.load`."""
        facts = read_manifest(folder, _KIND)
        spec = IndexSpec.from_json(facts["spec"])
        shards = [Index.load(part, scratch / part.name, servers=servers) for part in parts_of(folder)]
        return cls(spec, facts["version"], shards, partial_results=partial_results)

    def apply(self, updates: Sequence[DocumentUpdate], watermark: int) -> None:
        """Each shard applies what is its own; all reach the watermark. See `Index.apply`."""
        own: defaultdict[int, list[DocumentUpdate]] = defaultdict(list)
        for update in updates:
            own[shard_of(self.spec.shards, update)].append(update)
        for number, shard in enumerate(self._shards):
            shard.apply(own[number], watermark)

    def holding(self, tenant: str) -> Holding | None:
        """See `SearchIndex`."""
        return together(shard.holding(tenant) for shard in self._shards)

    def find(self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope, depth: int = DEPTH) -> Found:
        """See `SearchIndex`."""
        check_k(k)
        return self._scatter.find(queries, vectors, k, scope, max(depth, k))

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are held, of those asked for, shard by shard."""
        return [chunk for shard in self._shards for chunk in shard.chunks(chunk_ids)]

    def contents(self) -> Iterator[tuple[str, int]]:
        """Every (chunk_id, doc_version) held. Raises `IncompleteIndex` when the parts of a shard do not hold the same,
        or a document lies in two shards, or in one where it would not be looked for."""
        self._check()
        for shard in self._shards:
            yield from shard.contents()

    def _check(self) -> None:
        held: dict[DocumentKey, int] = {}
        for number, shard in enumerate(self._shards):
            for key in shard.documents():
                own = place_of_key(self.spec.shards, key)
                if key in held or own not in (None, number):
                    others = {place for place in (held.get(key), own) if place is not None}
                    raise IncompleteIndex(
                        f"index version {self.version} holds document {key} in shard {number}, and it belongs to "
                        f"shard {others}; build a new version"
                    )
                held[key] = number


def load_index(
    folder: Path,
    scratch: Path,
    *,
    servers: StoreServers = _NO_SERVERS,
    partial_results: PartialResults = "error",
) -> Index | ShardedIndex:
    """The index of a version's snapshot, whole or in shards; see `Index.load`."""
    if parts_of(folder) == [folder]:
        return Index.load(folder, scratch, servers=servers)
    return ShardedIndex.load(folder, scratch, servers=servers, partial_results=partial_results)


def seal(shards: Path, folder: Path, spec: IndexSpec, version: str) -> None:
    """Make one snapshot of the snapshots of all shards, which lie in `shards` and move."""
    with writing(folder, _KIND, {"spec": spec.to_json(), "version": version}) as partial:
        for number in range(spec.shards.count):
            (shards / shard_name(number)).rename(partial / shard_name(number))


def parts_of(snapshot: Path) -> list[Path]:
    """The folders of the indexes in a snapshot: those of its shards in order, or its own."""
    shards = sorted(snapshot.glob("shard-*"))
    return shards or [snapshot]


def shard_name(number: int) -> str:
    """Folder of a shard in a snapshot; names sort as numbers do."""
    return f"shard-{number:02}"


def shard_version(version: str, number: int) -> str:
    """What the shard of a version is called where each has a name of its own, as collections on a server do."""
    return f"{version}.{shard_name(number)}"


def index_names(spec: IndexSpec, version: str) -> list[str]:
    """The names of a version's indexes: of its shards, or its own."""
    if spec.shards.count == 1:
        return [version]
    return [shard_version(version, number) for number in range(spec.shards.count)]
