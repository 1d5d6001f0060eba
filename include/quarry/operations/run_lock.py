"""One command at a time may start a platform: two would migrate, start and watch the same parts against each other."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from include.quarry.errors import Conflict
from include.quarry.operations.installation import Installation


@contextmanager
def run_lock(installation: Installation) -> Iterator[None]:
    """Hold the installation's lock while the block runs; a process that dies lets go of it.

    Raises `Conflict` at once when another process holds it.
    """
    installation.prepare_run()
    try:
        with FileLock(installation.run / "up.lock", timeout=0):
            yield
    except Timeout:
        raise Conflict(
            f"another `up` or `demo` is at work in {installation.home}; wait until it is done, or give this one a home "
            "and ports of its own (QUARRY_HOME, see .env.example)"
        ) from None
