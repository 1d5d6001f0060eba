"""What a replica of a tier writes by: the route as it is now, whatever has to be loaded, and whatever cannot be."""

from collections.abc import AsyncGenerator

import pytest

from include.quarry.catalog.generation_routes import promote_release, roll_release_back, try_release
from include.quarry.generation.answers import Ended, TierEvent, VerifiedSentence
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.protocol import DEFAULT_RELEASE, Origin, Usage, Wish
from include.quarry.generation.queue import Standing
from include.quarry.records import Chunk, DocumentKey, Hit, Passage
from tests.door import visit

from .conftest import Replica, until

TEXT = "Ruff has 800 rules."
HIT = Hit(
    Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(TEXT, "", 0, len(TEXT), 1), {}), 1, {}
)
ASKED = "How many rules has Ruff?"


async def test_without_a_release_the_settings_answer(replica: Replica) -> None:
    assert replica.chosen() == DEFAULT_RELEASE
    assert list(replica.models) == ["smollm2-135m"]


async def test_another_prompt_writes_at_once_and_loads_nothing(replica: Replica) -> None:
    replica.create("brief")
    replica.loading.clear()
    replica.do(promote_release, "brief")
    await until(lambda: replica.chosen() == "brief")
    events = [event async for event in answered(replica)]
    assert Origin("brief", "smollm2-135m", replica.find("brief").prompt_version) in events
    assert replica.models["smollm2-135m"].prompts[-1][0].content == "Answer briefly."


async def test_another_model_answers_once_it_is_loaded_and_the_one_before_until_then(replica: Replica) -> None:
    replica.create("large", model="large")
    replica.loading.clear()
    replica.do(promote_release, "large")
    await until(lambda: "large" in replica.held._bringing)
    assert replica.chosen() == DEFAULT_RELEASE
    replica.loading.set()
    await until(lambda: replica.chosen() == "large")
    assert len(replica.models["large"].prompts) == 1  # it was asked for a word before anybody's question


async def test_a_canary_that_cannot_be_loaded_is_refused_and_never_answers(replica: Replica) -> None:
    replica.create("broken", model="unknown-7b")
    replica.do(try_release, "broken", 1.0)
    seen = set()
    await until(lambda: seen.add(replica.chosen()) or replica.find("broken").state == "failed")
    assert seen == {DEFAULT_RELEASE}
    assert "cannot be loaded: model 'unknown-7b'" in replica.find("broken").reason


@pytest.mark.parametrize(("away_for", "state"), [(2, "live"), (3, "failed")])
async def test_a_model_that_is_away_for_a_moment_is_waited_for(replica: Replica, away_for: int, state: str) -> None:
    replica.create("remote", model="away")
    replica.away_for = away_for
    replica.do(promote_release, "remote")
    await until(lambda: replica.chosen() == "remote" or replica.find("remote").state == "failed")
    assert replica.find("remote").state == state


async def test_a_promoted_release_that_cannot_be_loaded_gives_way_and_never_answers(replica: Replica) -> None:
    replica.create("brief")
    replica.create("broken", model="unknown-7b")
    replica.do(promote_release, "brief")
    await until(lambda: replica.chosen() == "brief")
    replica.do(promote_release, "broken")
    seen = set()
    await until(lambda: seen.add(replica.chosen()) or replica.find("broken").state == "failed")
    assert seen == {"brief"}
    assert replica.find("brief").state == "live"


async def test_who_asks_again_gets_the_same_release_and_a_growing_share_keeps_all_it_had(replica: Replica) -> None:
    replica.create("brief")
    before: set[str] = set()
    for share in (0.1, 0.3, 0.6):
        replica.do(try_release, "brief", share)
        await until(lambda share=share: replica.held._route.canary_share == share)
        tried = {f"question {n}" for n in range(400) if replica.chosen("red", f"question {n}") == "brief"}
        assert tried >= before
        assert abs(len(tried) / 400 - share) < 0.1
        before = tried
    assert any(replica.chosen("blue", question) != "brief" for question in before)


async def test_an_answer_keeps_its_release_through_promotion_and_rollback_in_mid_stream(replica: Replica) -> None:
    for release_id, model in (("brief", "smollm2-135m"), ("large", "large"), ("third", "large")):
        replica.create(release_id, model=model)
    replica.do(promote_release, "brief")
    await until(lambda: replica.chosen() == "brief")
    events = replica.tier.answer(ASKED, read_evidence([HIT]), Wish(), visit())
    first = [await anext(events) for _ in range(3)]
    assert [type(event) for event in first] == [Standing, Origin, VerifiedSentence]
    for release_id in ("large", "third"):
        replica.do(promote_release, release_id)
        await until(lambda release_id=release_id: replica.chosen() == release_id)
    replica.do(roll_release_back, "fast", "worse")
    await until(lambda: replica.chosen() == "large")
    assert "brief" not in replica.held._held
    replica.models["smollm2-135m"].go_on.set()
    rest = [event async for event in events if not isinstance(event, Standing | Usage)]
    assert [type(event) for event in rest] == [Ended]
    assert rest[0].how == "done"
    assert isinstance(first[1], Origin)
    assert first[1].release_id == "brief"


async def test_a_release_that_was_taken_back_is_gone_with_the_next_look(replica: Replica) -> None:
    replica.create("brief")
    replica.do(promote_release, "brief")
    await until(lambda: replica.chosen() == "brief")
    replica.loading.clear()
    replica.do(roll_release_back, "fast", "worse")
    await until(lambda: replica.chosen() == DEFAULT_RELEASE)  # held all along, so nothing is loaded
    assert replica.find("brief").reason == "worse"


def answered(replica: Replica) -> AsyncGenerator[TierEvent]:
    replica.models["smollm2-135m"].go_on.set()
    return replica.tier.answer(ASKED, read_evidence([HIT]), Wish(), visit())
