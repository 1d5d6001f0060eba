"""The servers that vector stores of the contract talk to, each started once."""

from collections.abc import Iterator

import pytest

from include.quarry.stores.milvus import MilvusServer
from include.quarry.stores.pinecone import PineconeServer
from tests.servers.milvus import milvus
from tests.servers.pinecone import KEY, fake_pinecone


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus(tmp_path_factory.mktemp("milvus")) as url:
        yield MilvusServer(url, timeout_s=30)


@pytest.fixture(scope="session")
def pinecone_server() -> Iterator[PineconeServer]:
    with fake_pinecone() as fake:
        yield PineconeServer(KEY, fake.url)
