"""Which tier answers a question that leaves the choice to us. All thresholds are in `Policy`; the rules go in order.

`fast` is cheap and soon there, and enough where one sentence of the passages says what was asked. `deep` reads more,
puts several passages together and knows better when it does not know; it takes ten times as long. So `auto` begins deep
only where that is likely to pay, and where there is time for it. `python -m evaluation tiers` measures what that gains.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from include.quarry.generation.evidence import Evidence
from include.quarry.generation.protocol import Tier, Wish
from include.quarry.generation.relevance import Rarity, question_words, weigh

SILENT = "does not answer"
"""The absence of a tier that has a model, and should be there."""
_REASONS = re.compile(
    r"\b(?:why|explain|compar\w+|differ\w*|versus|vs|advantages?|disadvantages?|trade-?offs?|pros|summar\w+|describe"
    r"|relat\w+ between|step by step|in detail|consequences?|implications?)\b"
    r"|\bhow (?:do|does|did|can|could|should|would|is|are|was|were|to)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\?.*\w.*\?|,? and (?:how|why|what|when|where|which|who)\b|\blist\b|\beach of\b", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds of the choice.

    `short_tokens` and `long_tokens` bound the lengths asked for that decide by themselves. `said_by_one` is the least
    share of the question that the best single sentence must cover for `fast`; `said_by_one_paid` the same for plans in
    `deep_plans`, which go deep sooner. A wait for `deep` of more than `wait_s` is too long, and so is an
    answer that would take more than `time_share` of the time left.
    """

    fast_plans: frozenset[str] = frozenset({"trial"})
    deep_plans: frozenset[str] = frozenset({"unlimited"})
    short_tokens: int = 40
    long_tokens: int = 160
    max_words: int = 30
    said_by_one: float = 0.5
    said_by_one_paid: float = 0.8
    wait_s: float = 10.0
    time_share: float = 0.6


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the choice looks at.

    `deep_absence` says why `deep` cannot be asked, and is empty where it can; `deep_wait_s` is how long its queue is,
    and `deep_turn_s` how long an answer takes there; `remaining_s` is the time left. `rarity` weighs the question's
    words.
    """

    question: str
    evidence: Sequence[Evidence]
    wish: Wish
    plan: str
    remaining_s: float
    deep_absence: str = ""
    deep_wait_s: float = 0.0
    deep_turn_s: float = 0.0
    rarity: Rarity | None = None

    @property
    def time_share(self) -> float:
        """The share of the time left that an answer by `deep` would take."""
        return (self.deep_wait_s + self.deep_turn_s) / max(self.remaining_s, 0.001)


@dataclass(frozen=True, slots=True)
class Choice:
    """The tier to begin with, and why, in words for the one who asked. One for `the_moment` is another one when there
    is less to do or more time."""

    tier: Tier
    reason: str
    the_moment: bool = False


def choose_tier(situation: Situation, policy: Policy) -> Choice:
    """The first rule that applies decides."""
    wanted = situation.wish.tier
    if wanted != "auto":
        return Choice(wanted, f"{wanted} was asked for")
    return next(choice for applies, choice in _rules(situation, policy) if applies)


def _rules(at: Situation, policy: Policy) -> Iterator[tuple[bool, Choice]]:
    """Whether a rule applies, and its choice; in order, the last one always applies."""
    silent = at.deep_absence == SILENT
    yield bool(at.deep_absence), Choice("fast", f"deep {at.deep_absence}", the_moment=silent)
    yield at.plan in policy.fast_plans, Choice("fast", f"the plan {at.plan} has fast answers")
    yield at.deep_wait_s > policy.wait_s, Choice("fast", f"deep has a queue of {at.deep_wait_s:.0f} s", the_moment=True)
    yield at.time_share > policy.time_share, Choice("fast", "there is too little time for deep", the_moment=True)
    length = at.wish.max_tokens or (policy.short_tokens + policy.long_tokens) // 2
    yield length <= policy.short_tokens, Choice("fast", "a short answer was asked for")
    yield length >= policy.long_tokens, Choice("deep", "a long answer was asked for")
    yield bool(_REASONS.search(at.question)), Choice("deep", "the question asks for an explanation")
    several = bool(_SEVERAL.search(at.question)) or len(at.question.split()) > policy.max_words
    yield several, Choice("deep", "the question has several parts")
    needed = policy.said_by_one_paid if at.plan in policy.deep_plans else policy.said_by_one
    covered = said_by_one(at.question, at.evidence, at.rarity)
    yield covered < needed, Choice("deep", "no single sentence of the passages covers the question")
    yield True, Choice("fast", "a question of fact that one sentence of the passages covers")


def said_by_one(question: str, evidence: Sequence[Evidence], rarity: Rarity | None = None) -> float:
    """The largest share of the question's words, weighed, that one sentence with its headings has."""
    asked = question_words(question)
    total = sum(weigh(word, rarity) for word in asked)
    best = 0.0
    for passage in evidence:
        heading = {word.stem for word in passage.heading_words}
        for statement in passage.statements:
            own = heading | {word.stem for word in statement.words}
            best = max(best, sum(weigh(word, rarity) for word in asked if word.stem in own))
    return best / total if total else 0.0
