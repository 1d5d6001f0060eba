"""Has MLflow's registries hold the releases as the catalog does, in a process apart: the library knows no MLflow."""

import os
import subprocess
import sys

from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.settings import Settings

AGAIN = "`python -m evaluation releases` tells them again"
_PATIENCE_S = 60.0


def tell_registries(settings: Settings) -> str:
    """Why they do not hold the releases as they are now, and what to do about it; empty where they do. Blocks."""
    command = [sys.executable, "-m", "evaluation", "releases"]
    environment = {**os.environ, **Installation(settings).environment()}
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return f"MLflow has not answered for {_PATIENCE_S:.0f} s; {AGAIN}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    said = lines[-1] if lines[0].startswith("Traceback") else " ".join(lines)
    return f"{said}; {AGAIN}"
