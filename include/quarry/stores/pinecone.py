"""Vectors in Pinecone: one index an index version, a namespace a tenant, filters pushed down as metadata filters.

Pinecone has no alias: which version is live stands in our catalog alone. It is eventually consistent: for the moment
that a write needs to show, another replica may see a document as it was, and a late update that it wrote meanwhile may
stay on the server; what this replica has applied, its fences enforce all the same.

The id of a record says all that `held` must know, since listing gives ids only.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import numpy as np
from pinecone import (
    ForbiddenError,
    NotFoundError,
    Pinecone,
    PineconeError,
    RetryConfig,
    UnauthorizedError,
)

from include.quarry.errors import ForeignVectors, InvalidInput, Misconfigured, NotFound, Unavailable
from include.quarry.records import Float32, Scope
from include.quarry.specs import StoreSpec
from include.quarry.stores.collection import TOMBSTONE, Candidate, Document, Held, Row
from include.quarry.stores.remote import RemoteStore

_FINGERPRINT = "quarry-fingerprint"
_VALUES = "_values"
_NAMESPACE = "tenant."
_FIELD = "field:"
_RECORDS = 1000
_REQUEST_BYTES = 2_000_000
_ANSWER_BYTES = 4_000_000
_BYTES_A_NUMBER = 22
_BYTES_OF_METADATA = 1500
_ID_CHARACTERS = 512
_CREATION_S = 300


class PineconeServer:
    """A project, with every failure told in Quarry's words. `url` is the control plane; empty means Pinecone's own."""

    def __init__(
        self,
        key: str,
        url: str = "",
        *,
        cloud: str = "aws",
        region: str = "us-east-1",
        timeout_s: float = 10.0,
    ) -> None:
        self.address = urlsplit(url).netloc.rpartition("@")[2] or "api.pinecone.io"
        self.deployment = {"deployment_type": "managed", "cloud": cloud, "region": region}
        with self.speaking("accept the key"):
            self.client = Pinecone(key, host=url or None, timeout=timeout_s, retry_config=RetryConfig(max_retries=1))

    @contextmanager
    def speaking(self, what: str) -> Iterator[None]:
        """Translates what the client raises."""
        try:
            yield
        except NotFoundError as error:
            raise NotFound(
                f"Pinecone at {self.address} cannot {what}: the index is gone; build a new index version"
            ) from error
        except (UnauthorizedError, ForbiddenError) as error:
            raise Misconfigured(
                f"Pinecone at {self.address} refuses to {what}: check the setting of its key"
            ) from error
        except PineconeError as error:
            raise Unavailable(
                f"Pinecone at {self.address} did not {what}: {error.message[:300]}; see that it is reached from here, "
                "then try again"
            ) from error


class PineconeCollection:
    """See `Collection`."""

    def __init__(self, server: PineconeServer, name: str, dimensions: int, index: Any) -> None:
        self.name = name
        self._server = server
        self._dimensions = dimensions
        self._index = index
        self._record_bytes = dimensions * _BYTES_A_NUMBER + _BYTES_OF_METADATA
        self.most = min(_RECORDS, _ANSWER_BYTES // self._record_bytes)  # vectors come back with the answer

    @classmethod
    def create(cls, server: PineconeServer, name: str, fingerprint: str, dimensions: int) -> Self:
        """An index ready to be searched; one that is there already is opened, so that a build can go on."""
        with server.speaking(f"create index {name!r}"):
            if not server.client.indexes.exists(name):
                server.client.indexes.create(
                    name=name,
                    schema={
                        "fields": {_VALUES: {"type": "dense_vector", "dimension": dimensions, "metric": "dotproduct"}}
                    },
                    deployment=server.deployment,
                    tags={_FINGERPRINT: fingerprint},
                    timeout=_CREATION_S,
                )
        return cls.open(server, name, fingerprint, dimensions)

    @classmethod
    def open(cls, server: PineconeServer, name: str, fingerprint: str, dimensions: int) -> Self:
        """Raises `NotFound`, or `ForeignVectors` when the index is of another vector space."""
        with server.speaking(f"open index {name!r}"):
            facts = server.client.indexes.describe(name)
            index = server.client.index(name=name)
        held = (facts.tags or {}).get(_FINGERPRINT), getattr(facts.schema.fields[_VALUES], "dimension", None)
        if held != (fingerprint, dimensions):
            raise ForeignVectors(
                f"index {name!r} at {server.address} holds vectors of space and width {held}, not of "
                f"{(fingerprint, dimensions)}; use the index version it was built for, or build a new one"
            )
        return cls(server, name, dimensions, index)

    def insert(self, rows: Sequence[Row]) -> None:
        for tenant, own in _by_tenant(rows).items():
            for some in self._requests(own):
                with self._server.speaking(f"write to index {self.name!r}"):
                    self._index.upsert(vectors=[self._record(row) for row in some], namespace=_namespace(tenant))

    def delete(self, rows: Sequence[Held]) -> None:
        for tenant, own in _by_tenant(rows).items():
            for start in range(0, len(own), _RECORDS):
                ids = [row.row_id for row in own[start : start + _RECORDS]]
                with self._server.speaking(f"delete records of index {self.name!r}"):
                    self._index.delete(ids=ids, namespace=_namespace(tenant))

    def held(self, documents: Sequence[Document] | None = None) -> Iterator[Held]:
        with self._server.speaking(f"list index {self.name!r}"):
            if documents is None:
                yield from self._all()
                return
            for tenant, own in _by_tenant([_Named(document) for document in documents]).items():
                among = {"document": {"$in": [each.document.name for each in own]}}
                yield from (_parsed(tenant, row_id) for row_id in self._matching(tenant, among))

    def nearest(self, queries: Float32, limit: int, scope: Scope) -> list[list[Candidate]]:
        found = []
        for query in queries:
            with self._server.speaking(f"search index {self.name!r}"):
                answer = self._index.query(
                    vector=query.tolist(),
                    top_k=limit,
                    namespace=_namespace(scope.tenant),
                    filter=_inside(scope),
                    include_values=True,
                )
            found.append([_candidate(scope.tenant, match) for match in answer.matches])
        return found

    def flush(self) -> None:
        """Pinecone has acknowledged only what is durable."""

    def drop(self) -> None:
        with self._server.speaking(f"delete index {self.name!r}"):
            if self._server.client.indexes.exists(self.name):
                self._server.client.indexes.delete(self.name, timeout=_CREATION_S)

    def _all(self) -> Iterator[Held]:
        for page in self._index.list_namespaces(prefix=_NAMESPACE):
            for namespace in page.namespaces:
                tenant = unquote(namespace.name.removeprefix(_NAMESPACE))
                for ids in self._index.list(namespace=namespace.name):
                    yield from (_parsed(tenant, each.id) for each in ids.vectors)

    def _matching(self, tenant: str, condition: dict[str, Any]) -> Iterator[str]:
        token = None
        while True:
            page = self._index.fetch_by_metadata(
                filter=condition, namespace=_namespace(tenant), limit=_RECORDS, pagination_token=token
            )
            yield from page.vectors
            token = page.pagination.next if page.pagination else None
            if not token:
                return

    def _record(self, row: Row) -> dict[str, Any]:
        tombstone = [1.0] + [0.0] * (self._dimensions - 1)
        return {
            "id": _row_id(row),
            "values": tombstone if row.ordinal == TOMBSTONE else row.vector.tolist(),
            "metadata": {"document": row.document.name, "ordinal": row.ordinal}
            | {_FIELD + name: value for name, value in row.fields.items()},
        }

    def _requests(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """As many rows as one request takes; a document is divided only when it is larger than that."""
        most = max(1, min(_RECORDS, _REQUEST_BYTES // self._record_bytes))
        documents: defaultdict[Document, list[Row]] = defaultdict(list)
        for row in rows:
            documents[row.document].append(row)
        some: list[Row] = []
        for own in documents.values():
            if some and len(some) + len(own) > most:
                yield some
                some = []
            some = some + own
            while len(some) > most:
                yield some[:most]
                some = some[most:]
        if some:
            yield some


def new_store(
    spec: StoreSpec, fingerprint: str, dimensions: int, *, server: PineconeServer, version: str
) -> RemoteStore:
    """An empty store for an index version, or the one that an unfinished build left. Raises `Misconfigured` unless the
    kind is `auto`, since Pinecone chooses for itself."""
    if spec.kind != "auto":
        raise Misconfigured(f"store kind {spec.kind!r} is not Pinecone's to choose; set auto")
    collection = PineconeCollection.create(server, collection_name(version), fingerprint, dimensions)
    return RemoteStore(collection, fingerprint, dimensions)


def load_store(folder: Path, *, server: PineconeServer) -> RemoteStore:
    """The store of a snapshot; see `RemoteStore.load`."""
    return RemoteStore.load(
        folder, lambda name, fingerprint, dimensions: PineconeCollection.open(server, name, fingerprint, dimensions)
    )


def collection_name(version: str) -> str:
    """A version id as Pinecone takes names, 45 characters of `a-z0-9-`: its beginning, readable, and its hash."""
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in version.lower())[:24].strip("-")
    return f"quarry-{readable}-{sha256(version.encode()).hexdigest()[:10]}".replace("--", "-")


class _Named:
    """Gives a document the shape of a row."""

    def __init__(self, document: Document) -> None:
        self.document = document


def _by_tenant(rows: Sequence[Any]) -> dict[str, list[Any]]:
    grouped: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.document.tenant].append(row)
    return grouped


def _namespace(tenant: str) -> str:
    return _NAMESPACE + quote(tenant, safe="")


def _row_id(row: Row) -> str:
    row_id = f"{row.document.name}#{row.seq}#{row.ordinal}#{row.doc_version}#{quote(row.chunk_id, safe='')}"
    if len(row_id) > _ID_CHARACTERS:
        raise InvalidInput(f"chunk_id {row.chunk_id!r} makes an id of {len(row_id)} characters; {_ID_CHARACTERS} fit")
    return row_id


def _parsed(tenant: str, row_id: str) -> Held:
    document, seq, ordinal, doc_version, chunk_id = row_id.split("#")
    return Held(row_id, Document(tenant, document), int(seq), int(ordinal), unquote(chunk_id), int(doc_version))


def _candidate(tenant: str, match: Any) -> Candidate:
    row = _parsed(tenant, match.id)
    return Candidate(row.document, row.seq, row.chunk_id, np.asarray(match.values, np.float32))


def _inside(scope: Scope) -> dict[str, Any]:
    own = [{_FIELD + name: {"$eq": value}} for name, value in scope.filters.items()]
    return {"$and": [{"ordinal": {"$gt": TOMBSTONE}}, *own]}
