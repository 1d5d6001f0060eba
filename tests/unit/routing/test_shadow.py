"""Candidates on live queries: compared off the response path, and never at the cost of a request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.observations import Observation, read_observations
from include.quarry.catalog.routes import Route
from include.quarry.catalog.versions import create_version
from include.quarry.errors import InvalidInput, NotFound, Unavailable
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope
from include.quarry.retrieval.retriever import Retrieval, Retriever
from include.quarry.routing.resident import Loaded, Resident
from include.quarry.routing.shadow import Comparisons, overlap, rank_correlation
from include.quarry.specs import IndexSpec

SCOPE = Scope("default")
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class FixedRetriever:
    """Finds these documents, or fails; counts how often it was asked."""

    version: str
    documents: list[str]
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    took_ms: float = 2.0

    async def retrieve(self, query: str, *, top_k: int, scope: Scope) -> Retrieval:
        self.asked.append(query)
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        hits = [_hit(doc_id) for doc_id in self.documents[:top_k]]
        return Retrieval(hits, self.version, 1, {"total": self.took_ms})

    @property
    def index(self) -> "FixedRetriever":
        return self


def _hit(doc_id: str) -> Hit:
    passage = Passage("text", "", 0, 4, 1)
    return Hit(Chunk(doc_id, DocumentKey("main", "default", doc_id), 1, 0, "", "", passage, {}), 1.0, {})


def resident(live: FixedRetriever, candidate: FixedRetriever, **route: Any) -> Resident:
    values = {"canary_version": None, "canary_share": 0.0, "shadow_version": None, "shadow_share": 0.0} | route
    versions = {
        each.version: Loaded(cast(Retriever, each), cast(Any, None), cast(Any, None), BEGINNING)
        for each in (live, candidate)
    }
    return Resident(Route("main", live.version, revision=1, previous_version=None, **values), versions)


@pytest.fixture
def seen(database: Database) -> Callable[[Comparisons], Observation]:
    with database.write() as connection:
        create_version(connection, "new", "main", IndexSpec())

    def of_candidate(comparisons: Comparisons) -> Observation:
        comparisons.write()
        with database.read() as connection:
            return read_observations(connection, "new", BEGINNING)

    return of_candidate


async def settled(condition: Callable[[], bool]) -> None:
    """Give the loop turns until the condition holds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("the comparison was never made")


async def test_a_shadow_is_compared_and_never_answers(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a", "b", "c", "d"]), FixedRetriever("new", ["b", "a", "c", "x"])
    comparisons = Comparisons(database, patience_s=0.2)
    found = await comparisons.retrieve(resident(live, new, shadow_version="new", shadow_share=1.0), "wing", 4, SCOPE)
    assert found.index_version == "old"
    await settled(lambda: bool(new.asked))
    observation = seen(comparisons)
    assert (observation.queries, observation.failures) == (1, 0)
    assert observation.mean_overlap == 0.75
    assert observation.mean_correlation == pytest.approx(0.5)
    assert (observation.live_ms, observation.candidate_ms) == ([2.0], [2.0])


async def test_a_shadow_that_hangs_holds_no_request_up_and_is_counted(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    new = FixedRetriever("new", ["a"], gate=asyncio.Event())
    comparisons, live = Comparisons(database, patience_s=0.2), FixedRetriever("old", ["a"])
    both = resident(live, new, shadow_version="new", shadow_share=1.0)
    for number in range(20):
        found = await asyncio.wait_for(comparisons.retrieve(both, f"query {number}", 4, SCOPE), 5)
        assert found.index_version == "old"
    assert len(new.asked) <= 2
    await settled(lambda: seen(comparisons).failures == len(new.asked))


async def test_a_failing_canary_costs_no_request_and_is_counted(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", ["a"], error=RuntimeError("poisoned"))
    comparisons = Comparisons(database, patience_s=0.2)
    found = await comparisons.retrieve(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    assert found.index_version == "old"
    assert (seen(comparisons).failures, seen(comparisons).queries) == (1, 1)


async def test_bad_input_is_the_askers_fault_and_not_the_canarys(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    fault = InvalidInput("k is 0")
    live, new = FixedRetriever("old", [], error=fault), FixedRetriever("new", [], error=fault)
    comparisons = Comparisons(database, patience_s=0.2)
    with pytest.raises(InvalidInput):
        await comparisons.retrieve(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    assert seen(comparisons).queries == 0


async def test_a_canary_that_calls_good_input_bad_is_the_one_at_fault(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", [], error=InvalidInput("k is 0"))
    comparisons = Comparisons(database, patience_s=0.2)
    found = await comparisons.retrieve(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    assert found.index_version == "old"
    assert (seen(comparisons).failures, seen(comparisons).queries) == (1, 1)


async def test_a_canary_that_is_silent_costs_no_request_and_is_counted(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", ["a"], gate=asyncio.Event())
    comparisons = Comparisons(database, patience_s=0.2)
    both = resident(live, new, canary_version="new", canary_share=1.0)
    assert (await comparisons.retrieve(both, "wing", 4, SCOPE)).index_version == "old"
    assert (seen(comparisons).failures, seen(comparisons).queries) == (1, 1)


@pytest.mark.parametrize(("within_s", "live_ms"), [(0.1, 2.0), (10.0, 150.0)])
async def test_a_caller_in_a_hurry_and_a_busy_machine_are_no_fault_of_a_silent_canary(
    database: Database, seen: Callable[[Comparisons], Observation], within_s: float, live_ms: float
) -> None:
    live, new = FixedRetriever("old", ["a"], took_ms=live_ms), FixedRetriever("new", ["a"], gate=asyncio.Event())
    comparisons = Comparisons(database, patience_s=0.2)
    both = resident(live, new, canary_version="new", canary_share=1.0)
    assert (await comparisons.retrieve(both, "wing", 4, SCOPE, within_s=within_s)).index_version == "old"
    assert seen(comparisons).queries == 0


async def test_a_canary_answers_its_requests_and_is_held_against_the_live_version(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a", "b"]), FixedRetriever("new", ["x", "y"])
    comparisons = Comparisons(database, patience_s=0.2)
    found = await comparisons.retrieve(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    assert found.index_version == "new"
    await settled(lambda: bool(live.asked))
    assert (seen(comparisons).queries, seen(comparisons).mean_overlap) == (1, 0.0)


async def test_a_pinned_version_answers_whatever_the_route_says(database: Database) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", ["b"])
    comparisons, both = Comparisons(database, patience_s=0.2), resident(live, new)
    assert (await comparisons.retrieve(both, "wing", 4, SCOPE, "new")).index_version == "new"
    with pytest.raises(NotFound, match=r"'gone'.*\['new', 'old'\]"):
        await comparisons.retrieve(both, "wing", 4, SCOPE, "gone")


@pytest.mark.parametrize("share", [{"canary_share": 1.0}, {"shadow_share": 1.0}])
async def test_a_query_that_the_cache_answered_is_put_to_both_versions_too(
    database: Database, seen: Callable[[Comparisons], Observation], share: dict[str, float]
) -> None:
    live, new = FixedRetriever("old", ["a", "b"]), FixedRetriever("new", ["b", "x"])
    comparisons, (kind,) = Comparisons(database, patience_s=0.2), share
    tried = resident(live, new, **{kind.replace("share", "version"): "new"}, **share)
    for _ in range(20):
        comparisons.observe(tried, "wing", 4, SCOPE)
    await settled(lambda: bool(new.asked))
    assert (len(live.asked), len(new.asked)) == (1, 1)  # a few each second, so that hits stay cheap
    assert (seen(comparisons).queries, seen(comparisons).mean_overlap) == (1, 0.5)


async def test_a_candidate_that_fails_on_a_query_that_the_cache_answered_has_failed(
    database: Database, seen: Callable[[Comparisons], Observation]
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", [], error=RuntimeError("poisoned"))
    comparisons = Comparisons(database, patience_s=0.2)
    comparisons.observe(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    await settled(lambda: bool(new.asked))
    assert seen(comparisons).failures == 1


async def test_a_query_that_the_cache_answered_and_no_candidate_had_to_do_with_is_left_alone(
    database: Database,
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", ["a"])
    comparisons = Comparisons(database, patience_s=0.2)
    comparisons.observe(resident(live, new), "wing", 4, SCOPE)
    comparisons.observe(resident(live, new, canary_version="new", canary_share=0.0), "wing", 4, SCOPE)
    await asyncio.sleep(0)
    assert (live.asked, new.asked) == ([], [])


async def test_what_could_not_be_written_is_written_later(
    database: Database, seen: Callable[[Comparisons], Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, new = FixedRetriever("old", ["a"]), FixedRetriever("new", ["a"], error=RuntimeError("poisoned"))
    comparisons = Comparisons(database, patience_s=0.2)
    await comparisons.retrieve(resident(live, new, canary_version="new", canary_share=1.0), "wing", 4, SCOPE)
    with monkeypatch.context() as patched:
        patched.setattr(database, "write", _busy)
        with pytest.raises(Unavailable):
            comparisons.write()
    assert seen(comparisons).failures == 1


def _busy() -> None:
    raise Unavailable("the catalog is busy")


def test_overlap_and_correlation_of_the_extremes() -> None:
    assert overlap([], []) == 1.0
    assert overlap(["a"], []) == 0.0
    assert rank_correlation(list("abcd"), list("abcd")) == 1.0
    assert rank_correlation(list("abcd"), list("dcba")) == -1.0
    assert rank_correlation(["a"], ["a"]) == 1.0
