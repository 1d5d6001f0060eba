"""A backfill that is killed, in three ways, ends with every text embedded and none of them twice.

What "twice" means: the engine is asked again for a text whose vector was kept. A process that dies inside the engine
has nothing to show for that call, so its unit is asked for again; the kills below land there, on purpose and for
certain, since the embedder holds its call until the process is dead. Then the journal must show each text finished
exactly once. (A kill in the moment between the engine's return and the rename of the part costs one unit once more,
as with any engine; no test relies on never hitting that moment.)
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.chaos.backfill import DOCUMENTS, MORNING, Backfill, backfill_of, ingest
from tests.chaos.journal import wait_until
from tests.chaos.ray_cluster import RayCluster

pytestmark = pytest.mark.chaos
_UNITS_BEFORE_THE_KILL = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 chunks."""
    home = tmp_path_factory.mktemp("ingested")
    ingest(home)
    return home


@pytest.fixture
def backfill(ingested: Path, cluster: RayCluster, tmp_path: Path) -> Iterator[Backfill]:
    with backfill_of(ingested, tmp_path / "home", cluster) as backfill:
        yield backfill


def test_a_backfill_that_loses_its_driver_an_actor_and_a_node_embeds_everything_once(backfill: Backfill) -> None:
    journal, raylet = backfill.journal, backfill.cluster.spot_raylet()
    journal.hold()
    first = backfill.start()
    backfill.wait_until_held(first)
    while journal.count("done") < _UNITS_BEFORE_THE_KILL:
        backfill.let_one_pass(first)
    first.kill()
    first.wait()
    wait_until(lambda: not backfill.actors(), "the actor to end with its driver")
    kept = journal.count("done")

    second = backfill.start(min_actors=2, max_actors=2)
    backfill.wait_until_held(second, actors=2)
    backfill.let_one_pass(second, actors=2)
    assert journal.count("done") > kept
    assert "continuing the plan" in backfill.log()
    (at_home,) = [actor for actor in backfill.actors() if actor.ppid() != raylet.pid]
    at_home.kill()
    backfill.wait_until(lambda: len(set(backfill.actors()) - {at_home}) == 2, "a new actor in its place", second)

    (on_spot,) = [actor for actor in backfill.actors() if actor.ppid() == raylet.pid]
    raylet.kill()
    backfill.wait_until(lambda: on_spot not in backfill.actors(), "the node's actor to die inside the engine", second)
    backfill.finish(second)
    backfill.check()


def test_two_backfills_with_overlapping_windows_at_once_embed_nothing_twice(backfill: Backfill) -> None:
    backfill.cluster.spot_raylet()
    early, late = MORNING + timedelta(hours=DOCUMENTS * 0.7), MORNING + timedelta(hours=DOCUMENTS * 0.3)
    backfill.journal.hold()
    drivers = [backfill.start(to=early.isoformat()), backfill.start(**{"from": late.isoformat()})]
    for driver in drivers:
        backfill.wait_until_held(driver, actors=2)
    for driver in drivers:
        backfill.finish(driver)
    backfill.check()
