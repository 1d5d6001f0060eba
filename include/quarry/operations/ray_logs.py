"""Ray keeps the logs of every job, and of every worker that ran for one, for as long as it is up."""

from datetime import datetime
from pathlib import Path

import psutil

from include.quarry.operations.installation import Installation
from include.quarry.operations.processes import processes_of


def forget_ray_logs(installation: Installation, before: datetime) -> int:
    """Remove the log files of Ray's sessions that were last written before then; returns how many those were.

    What a living process of the installation still holds open stays, however long it has had nothing to say.
    """
    logs = [path for path in installation.ray.glob("session_2*/logs/**/*") if path.is_file() and not path.is_symlink()]
    old = [path for path in logs if path.stat().st_mtime < before.timestamp()]
    held = _open_files(installation)
    forgotten = [path for path in old if path.resolve() not in held]
    for path in forgotten:
        path.unlink(missing_ok=True)  # Ray moves some to a folder of its own
    return len(forgotten)


def _open_files(installation: Installation) -> set[Path]:
    held: set[Path] = set()
    for process in processes_of(installation):
        try:
            held.update(Path(file.path) for file in process.open_files())
        except psutil.NoSuchProcess:
            continue  # it has just ended
    return held
