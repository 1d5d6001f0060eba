"""The servers that vector stores of the contract talk to, each started once."""

from collections.abc import Iterator

import pytest

from include.quarry.stores.milvus import MilvusServer
from tests.servers.milvus_lite import milvus_lite


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as url:
        yield MilvusServer(url, timeout_s=30)
