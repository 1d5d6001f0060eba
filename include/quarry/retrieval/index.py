"""One index version as a replica holds it: vector store, lexical index and passages at one watermark."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Self

from include.quarry.errors import ForeignVectors, IncompleteIndex
from include.quarry.lexical.protocol import LexicalIndex
from include.quarry.lexical.tantivy import TantivyIndex
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Hit, Scope, Scored, Vectors, WordCounts
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.holdings import Holdings
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.protocol import Found, Holding, Lists, Proposed
from include.quarry.retrieval.ranking import rank
from include.quarry.specs import IndexSpec
from include.quarry.stores.adapters import ADAPTERS
from include.quarry.stores.protocol import VectorStore
from include.quarry.stores.servers import StoreServers
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import check_k

_KIND = "index"
DEPTH = 100
_NO_SERVERS = StoreServers()
_PAUSES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)

_NEW_LEXICAL: dict[str, Callable[[IndexSpec, Path], LexicalIndex]] = {
    "tantivy": lambda spec, scratch: TantivyIndex(spec.lexical, scratch)
}
_LOADED_LEXICAL: dict[str, Callable[[Path, Path], LexicalIndex]] = {"tantivy": TantivyIndex.load}


class Index:
    """Three projections of the log that move together. One writer, many readers at once.

    `watermark` is the `seq` up to which the log is applied; it moves after all three have, so what a search finds is
    at least as fresh as the watermark read before it.
    """

    def __init__(
        self,
        spec: IndexSpec,
        version: str,
        *,
        store: VectorStore,
        lexical: LexicalIndex,
        passages: PassageTable,
        watermark: int = 0,
    ) -> None:
        self.spec = spec
        self.version = version
        self._store = store
        self._lexical = lexical
        self._passages = passages
        self._watermark = watermark
        self._holdings = Holdings(passages)
        self._writer = Lock()

    @property
    def watermark(self) -> int:
        """The `seq` up to which this index has applied the log."""
        return self._watermark

    @property
    def waits(self) -> bool:
        """Whether a search waits for a server, and so must not hold up whoever has other work meanwhile."""
        return ADAPTERS[self.spec.store.adapter].remote

    @classmethod
    def create(cls, spec: IndexSpec, version: str, scratch: Path, *, servers: StoreServers = _NO_SERVERS) -> Self:
        """An index that holds nothing yet, and keeps its working files in `scratch`, an empty folder of its own.

        A store on a server may hold what an unfinished build left. Raises `Misconfigured` or `Unavailable` there.
        """
        store = ADAPTERS[spec.store.adapter].new(spec, version, servers)
        lexical = _NEW_LEXICAL[spec.lexical.adapter](spec, scratch / "lexical")
        return cls(spec, version, store=store, lexical=lexical, passages=PassageTable())

    @classmethod
    def load(cls, folder: Path, scratch: Path, *, servers: StoreServers = _NO_SERVERS) -> Self:
        """The index that `save` wrote. Raises `NotFound`, `IncompleteIndex`, or `Conflict` when `scratch` is in use;
        of a store on a server, what `create` raises there."""
        facts = read_manifest(folder, _KIND)
        spec = IndexSpec.from_json(facts["spec"])
        store = ADAPTERS[spec.store.adapter].load(folder / "store", servers)
        lexical = _LOADED_LEXICAL[spec.lexical.adapter](folder / "lexical", scratch / "lexical")
        passages = PassageTable.load(folder / "passages")
        return cls(
            spec, facts["version"], store=store, lexical=lexical, passages=passages, watermark=facts["watermark"]
        )

    def save(self, folder: Path) -> None:
        """Writes a snapshot of this very state; applies wait, searches do not. Raises `IncompleteIndex` first."""
        with self._writer:
            self._check()
            facts = {"spec": self.spec.to_json(), "version": self.version, "watermark": self._watermark}
            with writing(folder, _KIND, facts) as partial:
                self._store.save(partial / "store")
                self._lexical.save(partial / "lexical")
                self._passages.save(partial / "passages")

    def apply(self, updates: Sequence[DocumentUpdate], watermark: int) -> None:
        """Brings all three to the updates' state, then the watermark to `watermark` (never back).

        Passages first: a delete is gone from every answer with that step, and a new chunk is readable before it can be
        found. If a later step fails, applying the same updates again completes it, since each part fences for itself.
        """
        with self._writer:
            if updates:
                _check_space(updates, self.spec.embedding.fingerprint)
                with self._holdings.changing(updates):
                    self._passages.apply(updates)
                    self._store.apply(updates)
                    self._lexical.apply(updates)
            self._watermark = max(self._watermark, watermark)

    def search(self, query: str, vector: Vectors, k: int, scope: Scope, depth: int = DEPTH) -> list[Hit]:
        """The `k` best of both lists, each `depth` deep, fused by rank. `vector` is the query's, `[1, d]`.

        The two searches run one after the other: at ten thousand chunks the shorter one takes a third of a
        millisecond, less than handing it to a thread costs.
        """
        return self.search_all([query], vector, k, scope, depth)[0]

    def search_all(
        self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope, depth: int = DEPTH
    ) -> list[list[Hit]]:
        """The hits of each query; `vectors` is `[q, d]`. Together they read the dense vectors once."""
        check_k(k)
        proposed = self.propose(queries, vectors, max(depth, k), scope)
        return [rank(lists, k, self._passages.get) for lists in proposed.lists]

    def holding(self, tenant: str) -> Holding | None:
        """See `SearchIndex`. A store on a server has no holding: other replicas write to it, so for a moment it shows
        more, or less, than this one has applied."""
        return None if self.waits else self._holdings.of(tenant)

    def find(self, queries: Sequence[str], vectors: Vectors, k: int, scope: Scope) -> Found:
        """See `SearchIndex`."""
        watermark = self._watermark
        return Found(self.search_all(queries, vectors, k, scope), watermark)

    def propose(
        self,
        queries: Sequence[str],
        vectors: Vectors,
        depth: int,
        scope: Scope,
        counts: Sequence[WordCounts] | None = None,
    ) -> Proposed:
        """What each query finds by meaning and by words, before the two lists are fused; see `Shard`."""
        watermark, dense = self._watermark, self._dense(vectors, depth, scope)
        own: Sequence[WordCounts | None] = counts if counts is not None else [None] * len(queries)
        lexical = [self._lexical.search(query, depth, scope, each) for query, each in zip(queries, own, strict=True)]
        return Proposed(watermark, [Lists(*lists) for lists in zip(dense, lexical, strict=True)])

    def _dense(self, vectors: Vectors, depth: int, scope: Scope) -> list[list[Scored]]:
        """What the store finds. A replica that shares it may be ahead of this one: what that has replaced can be found
        no more, and what stands there instead has no passage here yet, so that the document would be missed. Then look
        again until this one has followed, for a few of its intervals."""
        found = self._store.search(vectors, depth, scope)
        if not self.waits:
            return found
        for pause_s in _PAUSES_S:
            if all(self._passages.holds(hit.chunk_id) for hits in found for hit in hits):
                break
            sleep(pause_s)
            found = self._store.search(vectors, depth, scope)
        return found

    def counts(self, queries: Sequence[str]) -> list[WordCounts]:
        """How rare the words of each query are here; see `Shard`."""
        return [self._lexical.counts(query) for query in queries]

    def standing(self) -> int:
        """The watermark; see `Shard`."""
        return self._watermark

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are held, of those asked for, in that order."""
        return self._passages.get(chunk_ids)

    def documents(self) -> list[DocumentKey]:
        """The documents that have a chunk here."""
        return self._passages.documents()

    def contents(self) -> Iterator[tuple[str, int]]:
        """Every (chunk_id, doc_version) held. Raises `IncompleteIndex` when the three do not hold the same."""
        with self._writer:
            self._check()
            held = list(self._passages.contents())
        yield from held

    def _check(self) -> None:
        digests = {
            "store": digest(self._store.contents()),
            "lexical": digest(self._lexical.contents()),
            "passages": digest(self._passages.contents()),
        }
        if len(set(digests.values())) > 1:
            raise IncompleteIndex(
                f"index version {self.version} at watermark {self._watermark} holds different chunks in its parts: "
                f"{digests}; apply the log again from an earlier watermark, or rebuild the version"
            )


def watermark_of(folder: Path) -> int:
    """The watermark of the snapshot in the folder. Raises `NotFound` or `IncompleteIndex`."""
    return int(read_manifest(folder, _KIND)["watermark"])


def _check_space(updates: Sequence[DocumentUpdate], fingerprint: str) -> None:
    """The store would refuse foreign vectors too, but only after the passages were applied."""
    for update in updates:
        if update.vectors is not None and update.vectors.fingerprint != fingerprint:
            raise ForeignVectors(
                f"document {update.key} comes with vectors of space {update.vectors.fingerprint!r}; this index holds "
                f"space {fingerprint!r}: encode with the embedding spec of the index"
            )
