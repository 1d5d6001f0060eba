"""Vectors in Milvus: one collection an index version, tenants as partition key, filters pushed down as expressions.

Rows are inserted and never upserted: that is cheaper, and servers of the 2.3 line put upserted rows into the wrong
partition. Each insert has row ids of its own, so that a row written twice is two equal rows, not a clash.

Reads are of session consistency: they see this client's writes and all that was written before them. What other
replicas write is seen within milliseconds.

Milvus's aliases do not route: a request stays on the version it began with, a share goes to a canary, and encoder,
words and passages change with the vectors. One row of the catalog says all that; an alias could only contradict it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from include.quarry.errors import ForeignVectors, Misconfigured, NotFound, Unavailable
from include.quarry.records import Float32, Scope
from include.quarry.specs import StoreSpec
from include.quarry.stores.collection import TOMBSTONE, Candidate, Document, Held, Row
from include.quarry.stores.remote import RemoteStore
from include.quarry.stores.updates import score

_FINGERPRINT = "quarry.fingerprint"
_NO_SUCH_COLLECTION = 100
_PAGE = 8192
_REQUEST_BYTES = 16_000_000  # a server takes four times that
_BYTES_BESIDES = 1500
_HELD = ["id", "tenant", "document", "seq", "ordinal", "chunk_id", "doc_version"]
_FOUND = ["tenant", "document", "seq", "chunk_id", "vector"]
_INDEXES: dict[str, tuple[str, dict[str, int]]] = {
    "flat": ("FLAT", {}),
    "hnsw": ("HNSW", {"M": 16, "efConstruction": 200}),
}
_EF = 128
_MOST_EF = 32_768
_FEW = 4096


class MilvusServer:
    """A server, with every failure told in Quarry's words. Raises `Unavailable` when it cannot be reached."""

    def __init__(self, url: str, token: str = "", timeout_s: float = 10.0) -> None:
        self.timeout_s = timeout_s
        parts = urlsplit(url)
        self.address = f"{parts.hostname}:{parts.port}"  # without what a URL may hold of a password
        with self.speaking("connect"):
            self.client: Any = MilvusClient(url, token=token, timeout=timeout_s)

    @contextmanager
    def speaking(self, what: str) -> Iterator[None]:
        """Translates what the client raises."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._translated(what, error.code().name) from error
        except MilvusException as error:
            if error.code == _NO_SUCH_COLLECTION:
                raise NotFound(
                    f"Milvus at {self.address} cannot {what}: the collection is gone; restore it, or build a new "
                    "index version"
                ) from error
            raise self._translated(what, error.message) from error

    def _translated(self, what: str, reason: str) -> Misconfigured | Unavailable:
        if any(word in reason.lower() for word in ("unauthenticated", "permission", "auth check")):
            return Misconfigured(f"Milvus at {self.address} refuses to {what}: check the setting of its token")
        return Unavailable(
            f"Milvus at {self.address} did not {what} within {self.timeout_s:g} s: {reason[:300]}; "
            "see that the server runs and is reached from here, then try again"
        )


class MilvusCollection:
    """See `Collection`."""

    most = 16_384

    def __init__(self, server: MilvusServer, name: str, kind: str, dimensions: int) -> None:
        self.name = name
        self._server = server
        self._kind = kind
        self._dimensions = dimensions

    @classmethod
    def create(cls, server: MilvusServer, name: str, kind: str, fingerprint: str, dimensions: int) -> Self:
        """A collection ready to be searched; one that is there already is opened, so that a build can go on."""
        client, timeout_s = server.client, server.timeout_s
        with server.speaking(f"create collection {name!r}"):
            if not client.has_collection(name, timeout=timeout_s):
                client.create_collection(
                    name,
                    schema=_schema(client, dimensions),
                    properties={_FINGERPRINT: fingerprint},
                    consistency_level="Session",
                    num_shards=1,  # the rows of one insert become visible together
                    timeout=timeout_s,
                )
            if not client.list_indexes(name, timeout=timeout_s):  # a creation may have ended half way
                index_type, parameters = _INDEXES[kind]
                index = client.prepare_index_params()
                index.add_index("vector", index_type=index_type, metric_type="IP", params=parameters)
                client.create_index(name, index, sync=False, timeout=timeout_s)  # nothing is there yet to wait for
        return cls.open(server, name, fingerprint, dimensions)

    @classmethod
    def open(cls, server: MilvusServer, name: str, fingerprint: str, dimensions: int) -> Self:
        """Raises `NotFound`, or `ForeignVectors` when the collection is of another vector space."""
        with server.speaking(f"open collection {name!r}"):
            client, timeout_s = server.client, server.timeout_s
            facts = client.describe_collection(name, timeout=timeout_s)
            index = client.describe_index(name, "vector", timeout=timeout_s)
            client.load_collection(name, timeout=timeout_s)
        width = next(field["params"]["dim"] for field in facts["fields"] if field["name"] == "vector")
        held = facts["properties"].get(_FINGERPRINT), int(width)
        if held != (fingerprint, dimensions):
            raise ForeignVectors(
                f"collection {name!r} at {server.address} holds vectors of space and width {held}, not of "
                f"{(fingerprint, dimensions)}; use the index version it was built for, or build a new one"
            )
        kind = next(kind for kind, (index_type, _) in _INDEXES.items() if index_type == index["index_type"])
        return cls(server, name, kind, dimensions)

    def insert(self, rows: Sequence[Row]) -> None:
        attempt = uuid4().hex[:8]
        tombstone = np.eye(1, self._dimensions, dtype=np.float32)[0]
        records = [
            {
                "id": f"{row.document.name}:{row.seq}:{row.ordinal}:{attempt}",
                "tenant": row.document.tenant,
                "document": row.document.name,
                "seq": row.seq,
                "ordinal": row.ordinal,
                "chunk_id": row.chunk_id,
                "doc_version": row.doc_version,
                "fields": dict(row.fields),
                "vector": tombstone if row.ordinal == TOMBSTONE else row.vector,
            }
            for row in rows
        ]
        most = max(1, _REQUEST_BYTES // (4 * self._dimensions + _BYTES_BESIDES))
        for start in range(0, len(records), most):
            with self._server.speaking(f"insert into collection {self.name!r}"):
                self._server.client.insert(self.name, records[start : start + most], timeout=self._server.timeout_s)

    def delete(self, rows: Sequence[Held]) -> None:
        with self._server.speaking(f"delete rows of collection {self.name!r}"):
            self._server.client.delete(self.name, ids=[row.row_id for row in rows], timeout=self._server.timeout_s)

    def held(self, documents: Sequence[Document] | None = None) -> Iterator[Held]:
        for record in self._pages(_ALL) if documents is None else self._few(_among(documents)):
            row_id, tenant, document, seq, ordinal, chunk_id, doc_version = (record[name] for name in _HELD)
            yield Held(row_id, Document(tenant, document), seq, ordinal, chunk_id, doc_version)

    def nearest(self, queries: Float32, limit: int, scope: Scope) -> list[list[Candidate]]:
        parameters = {"ef": min(max(2 * limit, _EF), _MOST_EF)} if self._kind == "hnsw" else {}
        with self._server.speaking(f"search collection {self.name!r}"):
            found = self._server.client.search(
                self.name,
                list(queries),
                filter=_inside(scope),
                limit=limit,
                output_fields=_FOUND,
                search_params={"metric_type": "IP", "params": parameters},
                consistency_level="Session",
                timeout=self._server.timeout_s,
            )
        candidates = [[_candidate(hit["entity"]) for hit in hits] for hits in found]
        if self._kind == "flat" or min(map(len, candidates)) >= limit:
            return candidates
        # a graph gives up early under a filter that lets little through: then read all that matches
        matching = [_candidate(record) for record in self._query(_inside(scope), _FOUND, _FEW)]
        return candidates if len(matching) == _FEW else [_nearest(matching, query, limit) for query in queries]

    def flush(self) -> None:
        with self._server.speaking(f"flush collection {self.name!r}"):
            self._server.client.flush(self.name, timeout=self._server.timeout_s)

    def drop(self) -> None:
        with self._server.speaking(f"drop collection {self.name!r}"):
            if not self._server.client.has_collection(self.name, timeout=self._server.timeout_s):
                return
            for alias in self._server.client.list_aliases(self.name, timeout=self._server.timeout_s)["aliases"]:
                self._server.client.drop_alias(alias, timeout=self._server.timeout_s)
            self._server.client.drop_collection(self.name, timeout=self._server.timeout_s)

    def _few(self, expression: str) -> Iterator[dict[str, Any]]:
        """What one request returns; where that may not be all, page by page."""
        records = self._query(expression, _HELD, _PAGE)
        yield from records if len(records) < _PAGE else self._pages(expression)

    def _pages(self, expression: str) -> Iterator[dict[str, Any]]:
        """As of one moment, after all that was written before."""
        with self._server.speaking(f"read collection {self.name!r}"):
            pages = self._server.client.query_iterator(
                self.name,
                batch_size=_PAGE,
                filter=expression,
                output_fields=_HELD,
                timeout=self._server.timeout_s,
            )
            try:
                while records := pages.next():
                    yield from records
            finally:
                pages.close()

    def _query(self, expression: str, names: list[str], limit: int) -> list[dict[str, Any]]:
        with self._server.speaking(f"query collection {self.name!r}"):
            records: list[dict[str, Any]] = self._server.client.query(
                self.name,
                filter=expression,
                output_fields=names,
                limit=limit,
                consistency_level="Session",
                timeout=self._server.timeout_s,
            )
        return records


def new_store(spec: StoreSpec, fingerprint: str, dimensions: int, *, server: MilvusServer, version: str) -> RemoteStore:
    """An empty store for an index version, or the one that an unfinished build left. Raises `Misconfigured` for a kind
    that Milvus has no index for, and what `MilvusCollection.create` raises."""
    kind = "hnsw" if spec.kind == "auto" else spec.kind
    if kind not in _INDEXES:
        raise Misconfigured(f"store kind {spec.kind!r} is none of Milvus' here; choose of auto, {', '.join(_INDEXES)}")
    collection = MilvusCollection.create(server, collection_name(version), kind, fingerprint, dimensions)
    return RemoteStore(collection, fingerprint, dimensions)


def load_store(folder: Path, *, server: MilvusServer) -> RemoteStore:
    """The store of a snapshot; see `RemoteStore.load`."""
    return RemoteStore.load(
        folder, lambda name, fingerprint, dimensions: MilvusCollection.open(server, name, fingerprint, dimensions)
    )


def collection_name(version: str) -> str:
    """A version id as Milvus takes names: letters, digits and underscores; `_<hex>_` stands for any other character."""
    return "quarry_" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in version)


def _schema(client: Any, dimensions: int) -> Any:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=128)
    schema.add_field("tenant", DataType.VARCHAR, max_length=4096, is_partition_key=True)
    schema.add_field("document", DataType.VARCHAR, max_length=32)
    schema.add_field("seq", DataType.INT64)
    schema.add_field("ordinal", DataType.INT64)
    schema.add_field("chunk_id", DataType.VARCHAR, max_length=1024)
    schema.add_field("doc_version", DataType.INT64)
    schema.add_field("fields", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
    return schema


def _candidate(entity: dict[str, Any]) -> Candidate:
    document = Document(entity["tenant"], entity["document"])
    return Candidate(document, entity["seq"], entity["chunk_id"], np.asarray(entity["vector"], np.float32))


def _nearest(candidates: Sequence[Candidate], query: Float32, limit: int) -> list[Candidate]:
    vectors = np.array([each.vector for each in candidates], np.float32).reshape(-1, len(query))
    return [candidates[row] for row in np.argsort(-score(vectors, query), kind="stable")[:limit].tolist()]


def _among(documents: Sequence[Document]) -> str:
    tenants = sorted({document.tenant for document in documents})
    names = ", ".join(_literal(document.name) for document in documents)
    return f"tenant in [{', '.join(map(_literal, tenants))}] and document in [{names}]"


def _inside(scope: Scope) -> str:
    own = [f"fields[{_literal(name)}] == {_literal(value)}" for name, value in scope.filters.items()]
    return " and ".join([f"tenant == {_literal(scope.tenant)}", f"ordinal > {TOMBSTONE}", *own])


def _literal(text: str) -> str:
    """A string in Milvus' expressions, whatever characters it has."""
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(character, escaped)
    return f'"{text}"'


_ALL = f"ordinal >= {TOMBSTONE}"
