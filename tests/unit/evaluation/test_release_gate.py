"""The gate of releases lets a prompt pass that is no worse, refuses one that is, and refuses in doubt."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation.answer_record import AnswerRecord, TierRun
from evaluation.judgments import load_suite
from evaluation.policy import GatePolicy
from evaluation.release_gate import Asked, gate_release, judge_release
from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import promote_release
from include.quarry.catalog.releases import Release, create_release, find_release
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE, Delta, LanguageModel, Message, Usage
from include.quarry.generation.writing import LIMITS, Writer
from include.quarry.settings import Settings

from .test_answer_record import answer

POLICY = GatePolicy()
MUTE = "Say nothing.\n---\n$passages\nQuestion: $question"
ALIKE = "Answer from the passages.\n---\n$passages\n\nQuestion: $question\nAnswer it."


def run_of(right: Sequence[AnswerRecord], none: Sequence[AnswerRecord]) -> TierRun:
    return TierRun(wanted="fast", answers=(*right, *none))


def right(count: int, **more: object) -> list[AnswerRecord]:
    return [answer("1", matched=True, **more) for _ in range(count)]


def unknown(count: int, *, grounded: bool = False) -> list[AnswerRecord]:
    return [answer(grounded=grounded) for _ in range(count)]


LIVE = run_of(right(60), unknown(40))


def test_what_answers_the_same_passes() -> None:
    assert judge_release(LIVE, LIVE, POLICY).outcome == "pass"


@pytest.mark.parametrize(
    ("candidate", "ground", "said"),
    [
        (run_of([*right(45), *right(15, tier="extractive")], unknown(40)), "answers", "of its own"),
        (run_of([*right(45), *(answer("1", matched=False) for _ in range(15))], unknown(40)), "answers", "right"),
        (run_of(right(60), [*unknown(30), *unknown(10, grounded=True)]), "answers", "I don't know"),
        (run_of(right(60, cost=2.0), unknown(40)), "cost", "1.5 times"),
    ],
)
def test_what_answers_less_or_worse_or_costs_more_fails_with_the_reason(
    candidate: TierRun, ground: str, said: str
) -> None:
    verdict = judge_release(LIVE, candidate, POLICY)
    assert verdict.outcome == "fail"
    assert [(reason.ground, said in reason.text) for reason in verdict.reasons] == [(ground, True)]


def test_a_difference_that_luck_may_hide_is_refused_too() -> None:
    """As many lost as won: the mean is 0, but the interval allows a loss beyond the margin."""
    before = run_of([*right(12), *right(12, tier="extractive"), *right(6)], unknown(20))
    after = run_of([*right(12, tier="extractive"), *right(12), *right(6)], unknown(20))
    assert judge_release(before, after, POLICY).outcome == "fail"


@pytest.mark.parametrize("how", ["failed", "had no time left"])
def test_an_engine_that_could_not_answer_is_no_verdict_about_its_release(how: str) -> None:
    ailing = run_of(
        [*right(50), *right(10, tier="extractive", tier_reason=f"fast was asked for; fast {how}")], unknown(40)
    )
    for live, candidate, side in ((LIVE, ailing, "candidate"), (ailing, LIVE, "live")):
        verdict = judge_release(live, candidate, POLICY)
        assert verdict.outcome == "undecided"
        assert f"the {side} release's engine did not answer 10 of 100" in verdict.reasons[0].text


@pytest.mark.parametrize(
    ("live", "doubt"),
    [
        (run_of(right(29), unknown(40)), "29 answerable questions are too few"),
        (run_of(right(60), unknown(14)), "14 unanswerable questions are too few"),
        (run_of(right(60, tier="extractive", tier_reason="fast failed"), unknown(40)), "fast failed"),
    ],
)
def test_in_doubt_there_is_no_verdict(live: TierRun, doubt: str) -> None:
    verdict = judge_release(live, live, POLICY)
    assert verdict.outcome == "undecided"
    assert doubt in verdict.reasons[0].text


class Reader:
    """Says the first sentence of the first passage that it is shown, unless it is told to say nothing."""

    name = "reader"

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta]:
        passage = messages[1].content.split("\n")[1]
        said = "I don't know." if "nothing" in messages[0].content else passage.split(". ")[0] + "."
        yield Delta(said, Usage(10, 5))

    def check(self) -> None: ...


def opens(release: Release, _: Settings, model: LanguageModel | None) -> Writer:
    prompt = PromptTemplate.parse(release.template)
    return Writer(model or Reader(), prompt, LIMITS["fast"], release_id=release.release_id)


async def test_a_pass_against_the_live_release_is_kept_and_a_refusal_takes_it_back(
    database: Database, catalog_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database_url=catalog_url, _env_file=None)
    what: dict[str, Any] = {"tier": "fast", "model": settings.fast_model}
    with database.write() as connection:
        for release_id, template in (("alike", ALIKE), ("mute", MUTE)):
            version = PromptTemplate.parse(template).version
            create_release(connection, release_id, **what, prompt_version=version, template=template)
    suite, asked = load_suite("quarry_answers"), Asked(40, 20)
    with pytest.raises(NotFound):
        await gate_release("nobody", suite, settings, asked, opens)

    passed = await gate_release("alike", suite, settings, asked, opens)
    assert (passed.outcome, passed.against) == ("pass", DEFAULT_RELEASE)
    assert passed.live_run.measures["share_fast"] > 0.2
    with database.write() as connection:
        assert find_release(connection, "alike").passed_against == DEFAULT_RELEASE
        promote_release(connection, "alike")
    with pytest.raises(InvalidInput, match="live already"):
        await gate_release("alike", suite, settings, asked, opens)

    refused = await gate_release("mute", suite, settings, asked, opens)
    assert (refused.outcome, refused.against) == ("fail", "alike")
    assert "of its own" in refused.reasons[0].text
    with database.read() as connection:
        assert find_release(connection, "mute").passed_against is None
