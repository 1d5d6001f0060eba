"""Where references and verdicts are kept: a folder for each version, in it one for the corpus and each large tenant.

A version's verdicts begin anew with its reference, so that no state outlives what it was about.
"""

from datetime import UTC, datetime
from pathlib import Path

from include.quarry.drift.reference import Reference
from include.quarry.drift.verdict import State, Verdict

_WHOLE = "corpus"
_TIME = "%Y%m%dT%H%M%SZ"


class Memory:
    """The memory of one version's content, or of one tenant's part of it."""

    def __init__(self, home: Path, corpus: str, version_id: str, tenant: str | None = None) -> None:
        self._folder = home / "drift" / corpus / version_id / (_WHOLE if tenant is None else f"tenant-{tenant}")

    @property
    def reference(self) -> Reference | None:
        """What was remembered at the promotion, if anything was."""
        folder = self._folder / "reference"
        return Reference.load(folder) if folder.exists() else None

    def remember(self, reference: Reference) -> None:
        """Keep a reference. Raises `Conflict` when there is one."""
        reference.save(self._folder / "reference")

    def keep(self, verdict: Verdict, since: datetime, until: datetime) -> None:
        """Note the verdict about a window; judging a window again replaces its verdict."""
        path = self._folder / "verdicts" / f"{_stamp(until)}_{_stamp(since)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".writing")
        draft.write_text(verdict.to_json(), encoding="utf-8")
        draft.replace(path)

    def history(self, before: datetime | None = None) -> list[tuple[datetime, datetime, Verdict]]:
        """(since, until, verdict) in order of time, of windows that had ended `before` a time began."""
        found = []
        for path in sorted((self._folder / "verdicts").glob("*.json")):
            until, since = map(_time, path.stem.split("_"))
            if before is None or until <= before:
                found.append((since, until, Verdict.from_json(path.read_text(encoding="utf-8"))))
        return found

    def state(self, before: datetime) -> State:
        """What the windows before left behind."""
        verdicts = self.history(before)
        return verdicts[-1][-1].state if verdicts else State()

    def report_folder(self, until: datetime) -> Path:
        """Where the report of the window that ended then belongs."""
        return self._folder / "reports" / _stamp(until)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_TIME)


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC)
