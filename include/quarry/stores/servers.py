"""The vector servers of an installation: their addresses, and one connection each a process, made on first use."""

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from include.quarry.errors import Misconfigured

if TYPE_CHECKING:
    from include.quarry.stores.milvus import MilvusServer
    from include.quarry.stores.pinecone import PineconeServer


@dataclass(frozen=True, slots=True)
class StoreServers:
    """Where they are. With no address at all it serves the stores that need no server."""

    milvus_url: str = ""
    milvus_token: str = field(default="", repr=False)
    pinecone_key: str = field(default="", repr=False)
    pinecone_url: str = ""
    pinecone_cloud: str = "aws"
    pinecone_region: str = "us-east-1"
    timeout_s: float = 10.0

    def milvus(self) -> "MilvusServer":
        """Raises `Misconfigured` without an address, and `Unavailable`."""
        if not self.milvus_url:
            raise Misconfigured("the index version lives on a Milvus server; set QUARRY_MILVUS_URL to its address")
        return _milvus(self)

    def pinecone(self) -> "PineconeServer":
        """Raises `Misconfigured` without a key, and `Unavailable`."""
        if not self.pinecone_key:
            raise Misconfigured("the index version lives on Pinecone; set QUARRY_PINECONE_KEY to an API key")
        return _pinecone(self)


@cache
def _milvus(servers: StoreServers) -> "MilvusServer":
    from include.quarry.stores.milvus import MilvusServer  # noqa: PLC0415 - its client takes a second to import

    return MilvusServer(servers.milvus_url, servers.milvus_token, servers.timeout_s)


@cache
def _pinecone(servers: StoreServers) -> "PineconeServer":
    from include.quarry.stores.pinecone import PineconeServer  # noqa: PLC0415 - not everybody's

    return PineconeServer(
        servers.pinecone_key,
        servers.pinecone_url,
        cloud=servers.pinecone_cloud,
        region=servers.pinecone_region,
        timeout_s=servers.timeout_s,
    )
