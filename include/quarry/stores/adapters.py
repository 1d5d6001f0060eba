"""The vector stores that an index spec can name: how each is made for a version, restored, and ended."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from include.quarry.specs import IndexSpec
from include.quarry.stores.faiss import FaissStore
from include.quarry.stores.protocol import VectorStore
from include.quarry.stores.servers import StoreServers


class Adapter(NamedTuple):
    """`new` takes spec and version, `load` a snapshot's folder, `drop` a version. `remote`: a search waits for it."""

    new: Callable[[IndexSpec, str, StoreServers], VectorStore]
    load: Callable[[Path, StoreServers], VectorStore]
    drop: Callable[[str, StoreServers], None]
    remote: bool


def _new_faiss(spec: IndexSpec, _version: str, _servers: StoreServers) -> VectorStore:
    return FaissStore(spec.store, spec.embedding.fingerprint, spec.embedding.dimensions)


def _load_faiss(folder: Path, _servers: StoreServers) -> VectorStore:
    return FaissStore.load(folder)


def _drop_faiss(_version: str, _servers: StoreServers) -> None:
    """It is all in the snapshot."""


def _new_milvus(spec: IndexSpec, version: str, servers: StoreServers) -> VectorStore:
    from include.quarry.stores.milvus import new_store  # noqa: PLC0415 - its client takes a second to import

    space = spec.embedding
    return new_store(spec.store, space.fingerprint, space.dimensions, server=servers.milvus(), version=version)


def _load_milvus(folder: Path, servers: StoreServers) -> VectorStore:
    from include.quarry.stores.milvus import load_store  # noqa: PLC0415

    return load_store(folder, server=servers.milvus())


def _drop_milvus(version: str, servers: StoreServers) -> None:
    from include.quarry.stores.milvus import MilvusCollection, collection_name  # noqa: PLC0415

    MilvusCollection(servers.milvus(), collection_name(version), "flat", 0).drop()


def _new_pinecone(spec: IndexSpec, version: str, servers: StoreServers) -> VectorStore:
    from include.quarry.stores.pinecone import new_store  # noqa: PLC0415 - not everybody's

    space = spec.embedding
    return new_store(spec.store, space.fingerprint, space.dimensions, server=servers.pinecone(), version=version)


def _load_pinecone(folder: Path, servers: StoreServers) -> VectorStore:
    from include.quarry.stores.pinecone import load_store  # noqa: PLC0415

    return load_store(folder, server=servers.pinecone())


def _drop_pinecone(version: str, servers: StoreServers) -> None:
    from include.quarry.stores.pinecone import PineconeCollection, collection_name  # noqa: PLC0415

    PineconeCollection(servers.pinecone(), collection_name(version), 0, None).drop()


ADAPTERS: dict[str, Adapter] = {
    "faiss": Adapter(_new_faiss, _load_faiss, _drop_faiss, remote=False),
    "milvus": Adapter(_new_milvus, _load_milvus, _drop_milvus, remote=True),
    "pinecone": Adapter(_new_pinecone, _load_pinecone, _drop_pinecone, remote=True),
}
