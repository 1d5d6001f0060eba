"""The document that a comparison of two generation releases leaves behind: the verdict and all that it rests on."""

from datetime import datetime
from typing import Any, Literal

from evaluation.answer_record import TierRun
from evaluation.gate_record import CheckRecord, ReasonRecord
from evaluation.json_record import JsonRecord


class ReleaseRecord(JsonRecord):
    """One verdict about one release, with every answer of both."""

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
