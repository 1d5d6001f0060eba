"""From a question and its hits to a verified, cited answer, by whichever tier can give one.

The order of falling: the tier asked for or chosen, then the fast tier, then the passages' own sentences, then the
passages alone, then a refusal that says when to come back. What was verified before a tier broke off stands.
"""

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from include.quarry.errors import Full, Unavailable
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import (
    DONT_KNOW,
    ONLY_PASSAGES,
    Answer,
    AnsweredBy,
    AnswerEvent,
    Draft,
    Ended,
    Spent,
    TierEvent,
    VerifiedSentence,
)
from include.quarry.generation.evidence import EVIDENCE_HITS, Evidence, read_evidence
from include.quarry.generation.extractive_tier import ExtractiveTier
from include.quarry.generation.prices import Prices, cost_of
from include.quarry.generation.protocol import Origin, Tier, Usage, Wish
from include.quarry.generation.queue import Standing
from include.quarry.generation.relevance import COVERAGE, Rarity, judge_relevance
from include.quarry.generation.tier_choice import SILENT, Policy, Situation, choose_tier
from include.quarry.records import Hit

AT_ONCE = 96
_STALE_S = 5.0
"""What a tier said about its queue is forgotten after that."""
_NOT_THERE = "is not there"
_WHY = {
    "refused": "found no answer in the passages",
    "failed": "failed",
    "busy": "has no place left in its queue",
    "late": "had no time left",
    "too_long": "cannot hold the question beside a passage",
}
_log = logging.getLogger(__name__)

Rung = Literal["deep", "fast", "extractive"]


class AnswerTier(Protocol):
    """A tier as the fall sees it: a queue with an engine, here or in another process."""

    @property
    def absence(self) -> str:
        """Why it cannot be asked now, to be read after the tier's name; empty where it can."""
        ...

    def answer(
        self, question: str, evidence: Sequence[Evidence], wish: Wish, visit: Visit
    ) -> AsyncGenerator[TierEvent]:
        """How busy it is, sentences as they are verified, what was used so far, and an `Ended`; closing it frees the
        place or the slot.

        Raises `Unavailable` where the tier is gone, or silent for too long.
        """
        ...


@dataclass(slots=True)
class _Case:
    """A question on its way down: what was said, what it cost, and why each tier was asked or was not enough."""

    question: str
    wish: Wish
    visit: Visit
    draft: Draft
    reasons: list[str] = field(default_factory=list)
    spent: dict[Tier, Usage] = field(default_factory=dict)
    asked: int = 0
    of_the_moment: bool = False
    rung: Rung = "extractive"
    how: str = ""
    origin: Origin | None = None

    @property
    def whole(self) -> bool:
        """Whether the tier that the question is for has answered to the end, or found no answer."""
        first = self.asked == 1 and self.rung != "extractive" and not self.of_the_moment
        return first and (self.how == "refused" or (self.how == "done" and bool(self.draft.sentences)))

    def note(self, reason: str) -> None:
        """Say why it went on, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)


class Answerer:
    """Answers questions from hits. `tiers` may lack one, or be empty: then the passages speak for themselves.

    At most `at_once` answers are in the making, those that wait for their turn included. `threshold` is the relevance
    a passage needs (see `relevance`), `rarity` weighs the question's words.
    """

    def __init__(
        self,
        tiers: Mapping[Tier, AnswerTier],
        *,
        prices: Prices | None = None,
        policy: Policy | None = None,
        at_once: int = AT_ONCE,
        threshold: float = COVERAGE,
        rarity: Rarity | None = None,
    ) -> None:
        self._tiers: dict[Rung, AnswerTier] = {"extractive": ExtractiveTier(rarity)}
        self._tiers.update(tiers.items())
        self._prices = prices or {}
        self._policy = policy or Policy()
        self._at_once = at_once
        self._threshold = threshold
        self._rarity = rarity
        self._making = 0
        self._standings: dict[Rung, tuple[Standing, float]] = {}

    def answer(self, question: str, hits: Sequence[Hit], wish: Wish, visit: Visit) -> AsyncGenerator[AnswerEvent]:
        """Verified sentences as they are completed, and what was used so far; then the `Answer` as the last event.

        Raises `Full` when too many answers are in the making, and `DeadlinePassed` when it is too late to begin: at
        once, before there is an event.
        """
        visit.deadline.check()
        if self._making >= self._at_once:
            raise Full(f"{self._making} answers are in the making, which is all there may be; try again shortly")
        return self._fall(_Case(question, wish, visit, Draft(read_evidence(hits[:EVIDENCE_HITS]))), hits)

    async def _fall(self, case: _Case, hits: Sequence[Hit]) -> AsyncGenerator[AnswerEvent]:
        self._making += 1
        try:
            rungs = self._begin(case)
            while rungs:
                rung, *rungs = rungs
                async with aclosing(self._ask(rung, case)) as events:
                    async for event in events:
                        yield event
                if case.draft.sentences or case.how == "refused":
                    break
                if case.how == "done":  # another model would hardly say more: the passages speak for themselves
                    rungs = rungs[-1:]
            yield self._finish(case, hits)
        finally:
            self._making -= 1

    def _begin(self, case: _Case) -> list[Rung]:
        """The tiers to ask, in order; none where nothing was found that the question is about."""
        evidence = case.draft.evidence
        relevance = judge_relevance(case.question, evidence, threshold=self._threshold, rarity=self._rarity)
        case.draft.mark_time("relevance")
        if not relevance.relevant:
            case.reasons.append("no passage was found that the question is about")
            return []
        choice = choose_tier(self._situation(case), self._policy)
        case.reasons.append(choice.reason)
        case.of_the_moment = choice.the_moment
        return ["deep", "fast", "extractive"] if choice.tier == "deep" else ["fast", "extractive"]

    def _situation(self, case: _Case) -> Situation:
        deep, caller = self._tiers.get("deep"), case.visit.caller
        situation = Situation(
            case.question,
            case.draft.evidence,
            case.wish,
            caller.plan,
            case.visit.deadline.remaining_s(),
            deep.absence if deep else _NOT_THERE,
            rarity=self._rarity,
        )
        standing, seen_at = self._standings.get("deep", (None, 0.0))
        if standing is None or time.monotonic() - seen_at > _STALE_S:
            return situation
        return replace(situation, deep_wait_s=standing.wait_s(caller.priority), deep_turn_s=standing.turn_s)

    async def _ask(self, rung: Rung, case: _Case) -> AsyncGenerator[VerifiedSentence | Spent]:
        """The tier's sentences, and what all tiers have used by then; how it ended is noted in the case."""
        case.rung, case.how, case.origin, case.asked = rung, "absent", None, case.asked + 1
        tier = self._tiers.get(rung)
        absence = tier.absence if tier else _NOT_THERE
        if tier is None or absence:
            case.note(f"{rung} {absence}")
            return
        events = tier.answer(case.question, case.draft.evidence, case.wish, case.visit)
        try:
            async for event in events:
                match event:
                    case VerifiedSentence():
                        yield case.draft.take(event)
                    case Origin():
                        case.origin = event
                    case Standing():
                        self._standings[rung] = (event, time.monotonic())
                    case Usage():
                        yield self._spend(event, case)
                    case Ended():
                        self._end(event, case)
                        yield self._spend(event.usage, case)
        except Unavailable as error:
            _log.warning("the %s tier is gone: %s", rung, error)
            case.note(f"{rung} {'broke off' if case.draft.sentences else SILENT}")
        finally:
            await events.aclose()

    def _spend(self, usage: Usage, case: _Case) -> Spent:
        if case.rung != "extractive":
            case.spent[case.rung] = usage
        return Spent(dict(case.spent), cost_of(case.spent, self._prices))

    def _end(self, ended: Ended, case: _Case) -> None:
        case.how = ended.how
        case.draft.note_time("queue", ended.waited_s)
        if ended.how in _WHY:
            case.note(f"{case.rung} {_WHY[ended.how]}")
        elif not case.draft.sentences:
            case.note(f"{case.rung} said nothing that the passages bear out")

    def _finish(self, case: _Case, hits: Sequence[Hit]) -> Answer:
        draft = case.draft
        draft.mark_time("total")
        grounded = bool(draft.sentences)
        tier: AnsweredBy = case.rung if grounded else "none"
        overrun = case.rung == "extractive" and case.how in ("busy", "late")
        return Answer(
            " ".join(draft.sentences) or (ONLY_PASSAGES if overrun else DONT_KNOW),
            draft.citations,
            grounded,
            tier,
            sum(case.spent.values(), Usage()),
            draft.timings_ms,
            "; ".join(case.reasons),
            cost_of(case.spent, self._prices),
            case.spent,
            tuple(hits) if overrun else (),
            case.origin if grounded or case.how == "refused" else None,
            case.whole,
        )
