"""What a comparison of tiers leaves behind: every answer, and the numbers over them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np

from evaluation.json_record import JsonRecord, RecordPart
from include.quarry.generation.protocol import Wanted


class AnswerRecord(RecordPart):
    """One answer. `matched` is None where there is no right answer; `sentences` with the passages that they cite."""

    query_id: str
    question: str
    gold: tuple[str, ...]
    tier: str
    tier_reason: str
    text: str
    grounded: bool
    matched: bool | None
    verbatim: int
    sentences: int
    latency_ms: float
    prompt_tokens: int
    completion_tokens: int
    engine_s: float
    cost: float


class TierRun(RecordPart):
    """All answers of one way to ask: `fast`, `deep` or `auto`."""

    wanted: Wanted
    answers: tuple[AnswerRecord, ...]

    @property
    def measures(self) -> dict[str, float]:
        """The numbers; rates are shares of one, of answerable or unanswerable questions where the name says so."""
        right = [answer for answer in self.answers if answer.gold]
        none = [answer for answer in self.answers if not answer.gold]
        latencies = [answer.latency_ms for answer in self.answers]
        sentences = sum(answer.sentences for answer in self.answers)
        return {
            "answerable_questions": len(right),
            "unanswerable_questions": len(none),
            "answerable_grounded": _mean([answer.grounded for answer in right]),
            "answerable_matched": _mean([bool(answer.matched) for answer in right]),
            "unanswerable_dont_know": _mean([not answer.grounded for answer in none]),
            "sentences": sentences,
            "sentences_verbatim": sum(answer.verbatim for answer in self.answers) / sentences if sentences else 0.0,
            "share_deep": _mean([answer.tier == "deep" for answer in self.answers]),
            "share_fast": _mean([answer.tier == "fast" for answer in self.answers]),
            "share_extractive": _mean([answer.tier == "extractive" for answer in self.answers]),
            "latency_p50_ms": float(np.percentile(latencies, 50)),
            "latency_p95_ms": float(np.percentile(latencies, 95)),
            "engine_s_per_question": _mean([answer.engine_s for answer in self.answers]),
            "cost_per_1k_questions": 1000 * _mean([answer.cost for answer in self.answers]),
        }


class TiersRecord(JsonRecord):
    """The ways to ask, side by side over the same questions."""

    schema_version: Literal["quarry-tiers/1"] = "quarry-tiers/1"
    suite: str
    started_at: datetime
    models: dict[str, str]
    runs: tuple[TierRun, ...]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
