"""The document that a comparison of two generation releases leaves behind: the verdict and all that it rests on."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from evaluation.answer_record import TierRun
from evaluation.gate_record import CheckRecord, ReasonRecord


class ReleaseRecord(BaseModel):
    """One verdict about one release, with every answer of both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal["quarry-release-gate/1"] = "quarry-release-gate/1"
    suite: str
    tier: str
    candidate: str
    against: str
    started_at: datetime
    outcome: Literal["pass", "fail", "undecided"]
    reasons: tuple[ReasonRecord, ...]
    checks: tuple[CheckRecord, ...]
    live_run: TierRun
    candidate_run: TierRun

    @property
    def summary(self) -> dict[str, Any]:
        """What fits on one line: everything but the answers."""
        return self.model_dump(mode="json", exclude={"live_run", "candidate_run"})

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
