from datetime import UTC, datetime

import pytest

from evaluation.answer_record import AnswerRecord, TierRun, TiersRecord


def answer(gold: str = "", **more: object) -> AnswerRecord:
    fields = {
        "query_id": "q",
        "question": "?",
        "gold": (gold,) if gold else (),
        "tier": "fast",
        "tier_reason": "",
        "text": "",
        "grounded": True,
        "matched": None,
        "verbatim": 0,
        "sentences": 1,
        "latency_ms": 10.0,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "engine_s": 2.0,
        "cost": 0.5,
    }
    return AnswerRecord.model_validate(fields | more)


@pytest.fixture
def run() -> TierRun:
    answers = (
        answer("1", matched=True, verbatim=1),
        answer("2", matched=False, tier="deep", latency_ms=30.0),
        answer(grounded=False, tier="none", sentences=0),
        answer(tier="extractive", verbatim=1),
    )
    return TierRun(wanted="auto", answers=answers)


def test_rates_are_over_the_questions_that_their_names_say(run: TierRun) -> None:
    measures = run.measures
    assert measures["answerable_matched"] == 0.5
    assert measures["answerable_grounded"] == 1.0
    assert measures["unanswerable_dont_know"] == 0.5
    assert measures["sentences_verbatim"] == pytest.approx(2 / 3)
    assert (measures["share_deep"], measures["share_fast"], measures["share_extractive"]) == (0.25, 0.25, 0.25)
    assert measures["cost_per_1k_questions"] == 500
    assert measures["latency_p50_ms"] == 10


def test_nothing_asked_is_no_division_by_nothing() -> None:
    assert TierRun(wanted="fast", answers=(answer(sentences=0),)).measures["answerable_matched"] == 0


def test_a_record_comes_back_as_it_was(run: TierRun, tmp_path) -> None:
    record = TiersRecord(suite="s", started_at=datetime.now(UTC), models={"fast": "m"}, runs=(run,))
    record.write(tmp_path / "out" / "tiers.json")
    assert TiersRecord.model_validate_json((tmp_path / "out" / "tiers.json").read_text()) == record
