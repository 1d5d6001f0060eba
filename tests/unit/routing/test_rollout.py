"""Trying a candidate: on probes when nobody asks, and off its route when it is not good enough."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from include.quarry.catalog.observations import Observation, record_observation
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import find_version
from include.quarry.errors import Refused, Unavailable
from include.quarry.routing import rollout
from include.quarry.routing.building import build_version
from include.quarry.routing.probes import Probe, sample_probes
from include.quarry.routing.promotion import promote
from include.quarry.routing.rollout import hold_version, try_version
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus


@pytest.fixture
def patient(corpus: Corpus, routing_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """v1 is live, v2 is built."""
    for number in range(12):
        corpus.put(
            f"d{number}", f"Stone number {number} lies beside the river and is made of granite.", f"t{number % 3}"
        )
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings)
    build_version("v2", "main", SPEC, routing_settings)
    promote("v1", routing_settings)
    monkeypatch.setattr(rollout, "_LOOK_AGAIN_S", 0.01)
    return routing_settings.model_copy(update={"trial_patience_s": 5.0})


@contextmanager
def answering(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, observation: Callable[[int], Observation]
) -> Iterator[list[Probe]]:
    """A front door whose replica sees `observation` of the candidate for each bunch of probes."""
    asked: list[Probe] = []

    def ask(_url: str, _corpus: str, probes: list[Probe], _token_of: Callable[[str], str]) -> Iterator[str]:
        asked.extend(probes)
        with corpus.database.write() as connection:
            record_observation(connection, "v2", observation(len(probes)))
        return iter(())

    monkeypatch.setattr(rollout, "ask", ask)
    yield asked


def good(queries: int) -> Observation:
    return Observation(queries, 0, 0.9 * queries, 0.9 * queries, [5.0] * queries, [5.0] * queries)


def poisoned(queries: int) -> Observation:
    return Observation(queries, 0, 0.0, 1.0 * queries, [5.0] * queries, [5.0] * queries)


def test_a_good_candidate_keeps_its_share(corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(corpus, monkeypatch, good):
        assert try_version("v2", "shadow", 0.5, patient)["outcome"] == "pass"
        trial = try_version("v2", "canary", 0.25, patient)
    assert trial["queries"] >= 50
    with corpus.database.read() as connection:
        route = find_route(connection, "main")
        assert route is not None
        assert (route.canary_version, route.canary_share) == ("v2", 0.25)


def test_a_poisoned_candidate_is_taken_off_its_route_with_the_reason(
    corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(corpus, monkeypatch, poisoned), pytest.raises(Refused, match=r"overlap@10.*0\.00"):
        try_version("v2", "canary", 0.05, patient)
    with corpus.database.read() as connection:
        route, version = find_route(connection, "main"), find_version(connection, "v2")
        assert route is not None
        assert (route.live_version, route.candidate) == ("v1", None)
    assert version.state == "failed"
    assert "overlap@10" in version.reason


def test_a_candidate_nobody_saw_enough_of_is_refused(
    corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> Iterator[str]:
        raise Unavailable("nothing answers")

    monkeypatch.setattr(rollout, "ask", unavailable)
    impatient = patient.model_copy(update={"trial_patience_s": 0.05})
    with pytest.raises(Refused, match="0 queries were seen"):
        try_version("v2", "shadow", 0.5, impatient)


def test_what_was_seen_in_an_earlier_step_does_not_count(
    corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(corpus, monkeypatch, good):
        try_version("v2", "shadow", 0.5, patient)
    with answering(corpus, monkeypatch, poisoned), pytest.raises(Refused):
        try_version("v2", "canary", 0.05, patient)


def test_the_first_version_of_a_corpus_has_nothing_to_be_compared_with(corpus: Corpus, patient: Settings) -> None:
    assert try_version("v1", "shadow", 0.5, patient)["outcome"] == "pass"


def test_probes_are_words_of_the_corpus_asked_by_its_tenants_and_other_ones_each_time(
    corpus: Corpus, patient: Settings
) -> None:
    with corpus.database.read() as connection:
        first, again, other = (sample_probes(connection, "main", 8, seed) for seed in (1, 1, 2))
        assert len(sample_probes(connection, "main", 50, 3)) == 12
        assert sample_probes(connection, "nowhere", 8, 1) == []
    assert first == again != other
    assert {probe.tenant for probe in first} <= {"t0", "t1", "t2"}
    assert all(len(probe.query.split()) == 8 for probe in first)


def test_a_version_is_held_once_the_front_door_answers_from_it(
    corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def not_at_first(
        _url: str, _corpus: str, probes: list[Probe], _token_of: Callable[[str], str], index_version: str | None
    ) -> Iterator[str]:
        asked.append(index_version)
        if len(asked) < 3:
            raise Unavailable("404: index version 'v2' is not held")
        return iter([index_version] * len(probes))

    monkeypatch.setattr(rollout, "ask", not_at_first)
    assert hold_version("v2", patient)
    assert asked == ["v2"] * 3
    with corpus.database.read() as connection:
        route = find_route(connection, "main")
        assert route is not None
        assert (route.shadow_version, route.shadow_share) == ("v2", 0.0)
    assert not hold_version("v1", patient)


def test_a_version_that_no_replica_can_load_is_said_to_be_so(
    patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Iterator[str]:
        raise Unavailable("404: index version 'v2' is not held")

    monkeypatch.setattr(rollout, "ask", never)
    with pytest.raises(Unavailable, match="not held"):
        hold_version("v2", patient.model_copy(update={"trial_patience_s": 0.05}))


def test_an_unfinished_candidate_makes_way_for_the_next(
    corpus: Corpus, patient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "ask", lambda *_: iter(()))
    build_version("v3", "main", SPEC, patient)
    hold_version("v2", patient)
    hold_version("v3", patient)
    with corpus.database.read() as connection:
        assert find_version(connection, "v2").reason == "v3 is tried in its place"
        route = find_route(connection, "main")
        assert route is not None
        assert route.candidate == "v3"
