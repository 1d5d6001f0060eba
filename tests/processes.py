"""What processes say of themselves, also those that end while they are asked."""

import psutil


def title_of(process: psutil.Process) -> str:
    """Its command line; empty where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
