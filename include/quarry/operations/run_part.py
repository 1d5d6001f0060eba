"""Become one part of the platform: how the supervisor starts each, and by hand a way to run one in the foreground."""

import os
import sys

from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.processes import describe, end, group_file, group_of, processes_of
from include.quarry.operations.programs import environment_of, program


def run_part(installation: Installation, name: str) -> None:
    """End what an earlier life of the part left behind, then turn this process into the part. Does not return."""
    part = program(installation, name)
    left = processes_of(installation, name) | group_of(installation, name)
    for process in left:
        print(f"ending what an earlier {name} left behind: {describe(process)}", file=sys.stderr, flush=True)
    end(left, patience_s=2)
    group_file(installation, name).write_text(str(os.getpgrp()))
    environment = environment_of(part, installation)
    os.chdir(REPOSITORY)
    os.execvpe(part.command[0], part.command, environment)  # noqa: S606 (the part takes over this pid)
