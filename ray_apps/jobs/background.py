"""What nobody waits for takes what the requests leave of the processor: batch jobs, and the indexing of changes."""

import os

_NICE = 15


def give_way() -> None:
    """Have the calling thread, and those that it starts from now on, yield to whoever serves on this machine."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
