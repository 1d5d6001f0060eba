import socket
from pathlib import Path

import pytest

from include.quarry.operations.installation import Installation
from include.quarry.settings import Settings


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(Settings(home=tmp_path / "home", _env_file=None))


@pytest.fixture
def taken_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]
