import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.operations.installation import Installation
from include.quarry.settings import Settings


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(Settings(home=tmp_path / "home", _env_file=None))
    yield installation
    shutil.rmtree(installation.sockets, ignore_errors=True)  # the one folder that lies outside of home


@pytest.fixture
def taken_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]
