"""Where references and verdicts are kept: a folder for each version, in it one for each part that is watched.

A version's verdicts begin anew with its reference, so that no state outlives what it was about.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.quarry.drift.reference import Reference
from include.quarry.drift.verdict import State, Verdict

WHOLE, QUERIES = "corpus", "queries"
"""Names of parts: all documents of a corpus, and what is asked of it; the part of a tenant has a name of its own."""
LATE_WINDOWS = 7
"""How many windows back documents are waited for that had no vector yet when their window was judged."""
_TIME = "%Y%m%dT%H%M%SZ"


def tenant_part(tenant: str) -> str:
    """The name of the part that a tenant's documents are."""
    return f"tenant-{tenant}"


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """A verdict with the time it is about, and how many documents of that time still waited for vectors."""

    since: datetime
    until: datetime
    verdict: Verdict
    waiting: int = 0


class Memory:
    """The memory of one version's content, of one tenant's part of it, or of its queries."""

    def __init__(self, home: Path, corpus: str, version_id: str, part: str = WHOLE) -> None:
        self._folder = home / "drift" / corpus / version_id / part

    @property
    def reference(self) -> Reference | None:
        """What was remembered, if anything was."""
        folder = self._folder / "reference"
        return Reference.load(folder) if folder.exists() else None

    def remember(self, reference: Reference) -> None:
        """Keep a reference. Raises `Conflict` when there is one."""
        reference.save(self._folder / "reference")

    def keep(self, judged: JudgedWindow) -> None:
        """Note the verdict about a window; judging a window again replaces its verdict."""
        path = self._folder / "verdicts" / f"{_stamp(judged.until)}_{_stamp(judged.since)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".writing")
        draft.write_text(json.dumps({"waiting": judged.waiting, "verdict": asdict(judged.verdict)}), encoding="utf-8")
        draft.replace(path)

    def history(self, before: datetime | None = None) -> list[JudgedWindow]:
        """The windows in order of time, those that had ended `before` a time."""
        found = []
        for path in sorted((self._folder / "verdicts").glob("*.json")):
            until, since = map(_time, path.stem.split("_"))
            if before is None or until <= before:
                kept = json.loads(path.read_text(encoding="utf-8"))
                found.append(JudgedWindow(since, until, Verdict.from_parts(kept["verdict"]), kept["waiting"]))
        return found

    def judged(self, until: datetime) -> JudgedWindow | None:
        """The window that ended then, if it was judged."""
        ended = until.astimezone(UTC).replace(microsecond=0)
        return next((window for window in self.history() if window.until == ended), None)

    def unfinished(self, before: datetime) -> list[JudgedWindow]:
        """The latest windows from the first on that documents were late for: each state follows from those before."""
        latest = self.history(before)[-LATE_WINDOWS:]
        first = next((place for place, judged in enumerate(latest) if judged.waiting), len(latest))
        return latest[first:]

    def state(self, before: datetime) -> State:
        """What the windows before left behind."""
        judged = self.history(before)
        return judged[-1].verdict.state if judged else State()

    def report_folder(self, until: datetime) -> Path:
        """Where the report of the window that ended then belongs."""
        return self._folder / "reports" / _stamp(until)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_TIME)


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC)
