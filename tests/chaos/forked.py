"""Processes forked from one server that has imported everything, so that a kill and a new start cost little.

The server is started once for all tests of a run, so whichever test comes first must have it import what any needs.
"""

import multiprocessing
from multiprocessing.context import ForkServerContext

_MODULES = ("audited_server", "ingestion_processes", "stream_processes")


def forking() -> ForkServerContext:
    """Where processes are started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"tests.chaos.{module}" for module in _MODULES])
    return context
