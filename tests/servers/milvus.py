"""The Milvus server of tests and benchmarks: the one that QUARRY_TEST_MILVUS_URL names, or milvus-lite in a process of
its own on the loopback.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.quarry.operations.health import wait_until
from include.quarry.operations.ports import is_taken
from tests.conftest import free_port


@contextmanager
def milvus(folder: Path) -> Iterator[str]:
    """The URL of a server that is ready to be asked; its data, when it is ours, lies in `folder`."""
    if url := os.environ.get("QUARRY_TEST_MILVUS_URL"):
        yield url
        return
    port = free_port()
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", folder / "data", "--host", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_taken(port, "127.0.0.1"), "milvus-lite", timeout_s=60, tick=lambda _: None)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
