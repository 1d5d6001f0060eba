"""A backfill on spot nodes that vanish: it ends complete, with nothing embedded twice, and says what it cost.

Workers and whole nodes are killed where they stand, nodes are given notice, others join in their place. A worker that
is killed between the engine's answer and the writing of its part has nothing to show for that call; such calls of the
killed are left out of the count of what the engine did twice, and of nothing else.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.backfill import Backfill, backfill_of, ingest
from tests.chaos.journal import wait_until
from tests.chaos.ray_cluster import ACTOR_CPUS, RayCluster

pytestmark = pytest.mark.chaos
_DOCUMENTS = 28  # about 1,000 texts
_UNIT_SIZE = 8
_CALL_S = 0.7
_KILLS = ("worker", "node", "notice")
_PRICES = {"QUARRY_NODE_PRICE_PER_HOUR": '{"spot": 3600, "on-demand": 7200}'}  # a node-second is a unit of cost


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ingested")
    ingest(home, _DOCUMENTS)
    return home


@pytest.fixture
def backfill(ingested: Path, cluster: RayCluster, tmp_path: Path) -> Iterator[Backfill]:
    with backfill_of(ingested, tmp_path / "home", cluster) as backfill:
        yield backfill
    cluster.end_joined()


def test_a_backfill_whose_workers_and_nodes_vanish_at_random_embeds_everything_once(backfill: Backfill) -> None:
    backfill.call_s = _CALL_S
    choice, cluster, killed = random.Random(7), backfill.cluster, list[int]()
    nodes = [cluster.join("spot"), cluster.join("spot")]
    driver = backfill.start(_PRICES, nodes="spot", min_actors=2, max_actors=2, unit_size=_UNIT_SIZE)
    for kind in _KILLS:
        backfill.journal.hold()
        backfill.wait_until(lambda: all(backfill.actors_on(node) for node in nodes), "a worker on every node", driver)
        backfill.journal.let_go()
        done = backfill.journal.count("done") + choice.randint(1, 8)
        backfill.wait_until(lambda done=done: backfill.journal.count("done") >= done, "some units", driver)
        victim = choice.choice(nodes)
        actors = backfill.actors_on(victim)
        if kind == "worker":
            killed += [actor.pid for actor in actors]
            for actor in actors:
                actor.kill()
            continue
        nodes.remove(victim)
        if kind == "node":
            killed += [actor.pid for actor in actors]
            victim.vanish()
        else:
            victim.notice()
            wait_until(lambda node=victim: not node.alive, "the node to go before its 30 s are over", timeout_s=28)
        backfill.journal.hold()  # the work lasts, however long a node takes to join
        nodes.append(cluster.join("spot"))
    backfill.finish(driver)
    report = _report(backfill)
    for node in nodes:
        node.vanish()

    backfill.check(killed)
    wanted = len(backfill.texts())
    assert (report["embedded"], report["embedded_again"]) == (wanted, 0)
    # No more is certain: a unit may be cut short twice, and one that was finished is handed out again if nobody heard.
    assert min(report["units_resumed"], report["units_cut_short"]) > 0
    assert report["workers_noticed"] == 1
    assert (report["nodes_lost"], report["nodes_left"]) == (1, 1)
    assert report["cost"] == pytest.approx(report["node_seconds"]["spot"], rel=0.01)
    assert report["node_seconds"]["head"] > 0
    assert "<svg" in next((backfill.home / "backfills" / "reports").glob("*.html")).read_text()


def test_without_spot_nodes_the_same_plan_goes_on_on_demand_after_the_patience(backfill: Backfill) -> None:
    spot = backfill.cluster.join("spot")
    job = {"nodes": "spot", "min_actors": 1, "max_actors": 1, "unit_size": _UNIT_SIZE}
    first = backfill.start(_PRICES, **job)
    backfill.wait_until(lambda: backfill.journal.count("done") > 0, "the first unit", first)
    killed = [actor.pid for actor in backfill.actors_on(spot)]
    first.kill()
    spot.vanish()
    first.wait()

    on_demand = backfill.cluster.join("on-demand", cpus=ACTOR_CPUS + 1)
    begun, counted = backfill.journal.count("begin"), list[int]()

    def patience_over() -> bool:
        counted.append(backfill.journal.count("begin"))
        return "going on on-demand" in backfill.log()

    second = backfill.start(_PRICES | {"QUARRY_SPOT_PATIENCE_S": "5"}, **job)
    backfill.wait_until(patience_over, "the patience to end", second)
    assert counted[-2] == begun, "nobody embeds on a class of nodes that was not asked for"
    backfill.wait_until(lambda: bool(backfill.actors_on(on_demand)), "a worker on demand", second)
    backfill.finish(second)
    report = _report(backfill)
    on_demand.vanish()
    assert "continuing the plan" in backfill.log()
    backfill.check(killed)
    assert (report["embedded"], report["embedded_again"], report["attempts"]) == (len(backfill.texts()), 0, 3)
    assert min(report["node_seconds"][name] for name in ("spot", "on-demand")) > 0


def test_a_worker_that_is_cut_off_but_lives_keeps_nothing(backfill: Backfill) -> None:
    """Its raylet hangs, so Ray takes the node for lost and hands its units out again, while its engine works on."""
    journal, cluster = backfill.journal, backfill.cluster
    lost, other = cluster.join("spot"), cluster.join("spot")
    journal.hold()  # so that the work lasts, however long a worker takes to start
    driver = backfill.start(nodes="spot", min_actors=2, max_actors=2, unit_size=_UNIT_SIZE)
    backfill.wait_until(lambda: len(journal.pids("held")) == 2, "a worker on either node", driver)
    (cut_off,) = backfill.actors_on(lost)
    in_hand = {entry.hashes for entry in journal.entries() if entry.event == "held" and entry.pid == cut_off.pid}
    lost.raylet.suspend()
    journal.hold([text for unit in in_hand for text in unit])  # everything else goes on
    third = cluster.join("spot")

    def handed_out_again() -> bool:
        return any(entry.hashes in in_hand for entry in journal.entries() if entry.pid != cut_off.pid)

    backfill.wait_until(handed_out_again, "another worker inside the engine with the same unit", driver)
    assert lost.has(cut_off)
    backfill.finish(driver)
    report = _report(backfill)
    for node in (lost, other, third):
        node.vanish()
    backfill.check([cut_off.pid])
    assert report["embedded"] == len(backfill.texts())
    assert report["embedded_again"] in (_UNIT_SIZE, 2 * _UNIT_SIZE), "what its two threads had in hand"


def _report(backfill: Backfill) -> dict[str, object]:
    (path,) = (backfill.home / "backfills" / "reports").glob("*.json")
    report = json.loads(path.read_text())
    (line,) = (line for line in backfill.log().splitlines() if line.startswith("{"))
    assert json.loads(line) == {name: report[name] for name in report if name != "kept"}
    return report
