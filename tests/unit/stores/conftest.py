"""The servers that stores elsewhere talk to, each started once."""

from collections.abc import Iterator

import pytest

from tests.servers.milvus import milvus
from tests.servers.pinecone import Fake, fake_pinecone


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with milvus(tmp_path_factory.mktemp("milvus")) as url:
        yield url


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_pinecone() as fake:
        yield fake
