"""The choice of a tier, rule by rule: each decides in its place, and every choice says why."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.protocol import Tier, Wish
from include.quarry.generation.tier_choice import SILENT, Policy, Situation, choose_tier, said_by_one

from .conftest import MakeHit

FACT = "In which year was the lighthouse of Marrow Point built?"
TEXT = "The lighthouse of Marrow Point was built in the year 1871. Ada Finch drew it. Its lamp burns oil."
POLICY = Policy()


@pytest.fixture
def situation(make_hit: MakeHit) -> Callable[..., Situation]:
    base = Situation(FACT, read_evidence([make_hit(TEXT)]), Wish(), "standard", 60.0)

    def make(question: str = FACT, **more: object) -> Situation:
        return replace(base, question=question, **more)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_a_tier_that_was_asked_for_is_the_one(situation: Callable[..., Situation], tier: Tier) -> None:
    choice = choose_tier(situation(wish=Wish(tier), deep_wait_s=1000.0, plan="trial"), POLICY)
    assert (choice.tier, choice.reason) == (tier, f"{tier} was asked for")


@pytest.mark.parametrize(
    ("question", "tier", "reason"),
    [
        (FACT, "fast", "fact"),
        ("Why was the lighthouse of Marrow Point built?", "deep", "explanation"),
        ("How does the lamp of the lighthouse work?", "deep", "explanation"),
        ("How many lamps has the lighthouse of Marrow Point?", "fast", "fact"),
        ("Compare the lighthouse of Marrow Point with a lamp.", "deep", "explanation"),
        ("Who drew the lighthouse, and when was it built?", "deep", "several parts"),
        ("Who drew it? When was it built?", "deep", "several parts"),
        ("The lighthouse " * 20 + "?", "deep", "several parts"),
        ("Which painter from Dunmore decorated the stairs of the lighthouse?", "deep", "no single sentence"),
    ],
)
def test_the_form_of_the_question_and_the_passages_decide(
    situation: Callable[..., Situation], question: str, tier: Tier, reason: str
) -> None:
    choice = choose_tier(situation(question), POLICY)
    assert choice.tier == tier, choice
    assert reason in choice.reason


WHY = "Why was the lighthouse of Marrow Point built?"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"deep_absence": "is not installed"}, "deep is not installed"),
        ({"plan": "trial"}, "plan trial"),
        ({"deep_wait_s": POLICY.wait_s + 1}, "queue of 11 s"),
        ({"deep_turn_s": 20.0, "remaining_s": 30.0}, "too little time"),
        ({"wish": Wish(max_tokens=POLICY.short_tokens)}, "short answer"),
    ],
)
def test_deep_is_spared_whatever_the_question(
    situation: Callable[..., Situation], more: dict[str, object], reason: str
) -> None:
    assert choose_tier(situation(WHY), POLICY).tier == "deep"
    choice = choose_tier(situation(WHY, **more), POLICY)
    assert choice.tier == "fast"
    assert reason in choice.reason


def test_a_long_answer_is_deep_work(situation: Callable[..., Situation]) -> None:
    assert choose_tier(situation(wish=Wish(max_tokens=POLICY.long_tokens)), POLICY).tier == "deep"


def test_a_plan_may_go_deep_sooner(situation: Callable[..., Situation]) -> None:
    question = "In which year was the tall white lighthouse of Marrow Point built?"
    covered = said_by_one(question, situation().evidence)
    assert POLICY.said_by_one < covered < POLICY.said_by_one_paid
    assert choose_tier(situation(question), POLICY).tier == "fast"
    assert choose_tier(situation(question, plan="unlimited"), POLICY).tier == "deep"


def test_coverage_is_of_one_sentence_and_not_of_the_passage(make_hit: MakeHit) -> None:
    apart, together = (read_evidence([make_hit(text)]) for text in ("Ada drew. Marrow shines.", "Ada drew Marrow."))
    assert said_by_one("Who drew Marrow?", apart) == pytest.approx(0.5, abs=0.1)
    assert said_by_one("Who drew Marrow?", together) == 1
    assert said_by_one("", together) == 0


@pytest.mark.parametrize(
    ("more", "the_moment"),
    [
        ({"deep_absence": "is not installed"}, False),
        ({"deep_absence": SILENT}, True),
        ({"plan": "trial"}, False),
        ({"deep_wait_s": POLICY.wait_s + 1}, True),
        ({"deep_turn_s": 20.0, "remaining_s": 30.0}, True),
        ({}, False),
    ],
)
def test_a_choice_says_whether_it_is_one_for_the_moment(
    situation: Callable[..., Situation], more: dict[str, object], the_moment: bool
) -> None:
    assert choose_tier(situation(WHY, **more), POLICY).the_moment is the_moment
