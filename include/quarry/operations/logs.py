"""Follow the logs of all parts or of one."""

import os

from include.quarry.errors import NotFound
from include.quarry.operations.installation import Installation


def logs(installation: Installation, part: str | None, lines: int = 40) -> None:
    """Become `tail` on the logs of the parts whose names begin with `part`. Raises `NotFound` when there are none."""
    found = sorted(path for path in installation.logs.glob("*.log") if path.stem.startswith(part or ""))
    if not found:
        known = ", ".join(sorted(path.stem for path in installation.logs.glob("*.log"))) or "none yet"
        raise NotFound(f"no log begins with {part or ''!r} in {installation.logs}; there are: {known}")
    os.execvp("tail", ["tail", f"--lines={lines}", "--follow=name", "--retry", *map(str, found)])  # noqa: S606
