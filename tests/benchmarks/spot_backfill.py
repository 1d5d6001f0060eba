"""A backfill of 20,000 chunks on spot nodes while 30 of them, or of their workers, are taken away.

The engine is one that takes the same time for every text, so what it would take undisturbed is known: texts times
seconds a text, divided by the engines at work. It sleeps instead of computing; the machine's load reaches the product's
part of the work only. What is taken away is drawn at random: workers are killed, nodes vanish with all that runs on
them, nodes are given notice and go within 30 s. For each node that goes, another one is started.
"""

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import ray

from include.quarry.operations.installation import REPOSITORY
from include.quarry.records import Vectors
from include.quarry.settings import Settings
from ray_apps.jobs import embed_corpus
from tests.benchmarks.report import Report, Row
from tests.chaos.backfill import Backfill, ingest
from tests.chaos.journal import SPEC, JournalEmbedder, wait_until
from tests.chaos.ray_cluster import ACTOR_CPUS, RayCluster, RayNode

NAME = "spot_backfill"
ENGINES = 4
TEXT_S = 0.1
UNIT_SIZE = 32
MOST = 1.3
_LOOK_EVERY_S = 0.5
_DOCUMENTS = 556  # of 40 chunks; every tenth repeats another
_SHARES = {"worker": 0.4, "node": 0.3, "notice": 0.3}
_PRICES = '{"spot": 1, "on-demand": 3}'


class SteadyEngine(JournalEmbedder):
    """One engine a process, as a real one would be: calls wait for each other."""

    def __init__(self, home: Path, text_s: float) -> None:
        super().__init__(home, text_s * UNIT_SIZE)
        self._busy = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        with self._busy:
            return super().encode(texts)


def run(folder: Path, kills: int, text_s: float = TEXT_S) -> Report:
    """Embed the chunks under `kills` kills, spread evenly over the work."""
    home = folder / NAME
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    ingest(home, _DOCUMENTS)
    cluster = RayCluster()
    try:
        backfill = Backfill(home, cluster)
        texts = len(backfill.texts())
        print(f"{texts} texts; {ENGINES} engines would take {texts * text_s / ENGINES:.0f} s", flush=True)
        nodes = [cluster.join("spot") for _ in range(ENGINES)]
        started = time.monotonic()
        driver = _start(home, cluster, text_s)
        backfill.drivers.append(driver)
        dealt = _take_away(backfill, driver, nodes, texts, kills)
        assert driver.wait(1800) == 0, backfill.log()
        total_s = time.monotonic() - started
    finally:
        cluster.stop()
    (path,) = (home / "backfills" / "reports").glob("*.json")
    report = json.loads(path.read_text())
    undisturbed_s = texts * text_s / ENGINES
    complete = report["embedded"] / texts
    row = Row("seconds, start included", [undisturbed_s], [total_s], total_s / undisturbed_s, at_most=MOST)
    engine = Row("engine seconds", [texts * text_s], [report["engine_s"]], report["engine_s"] / (texts * text_s))
    whole = Row("texts embedded", [texts], [report["embedded"]], complete, at_least=1.0, at_most=1.0)
    again = Row("texts embedded again", [0], [report["embedded_again"]], report["embedded_again"], "", at_most=0)
    dealt_row = Row("kills", [], [sum(dealt.values())], sum(dealt.values()), "", at_least=kills)
    finished = backfill.journal.embedded()
    notes = [
        f"{dealt}; from the first worker's start to the last unit {report['wall_s']:.0f} s",
        f"nodes: {report['nodes_joined']} joined, {report['nodes_lost']} lost, {report['nodes_left']} left in good "
        f"order; {report['workers']} workers, {report['workers_noticed']} left on notice",
        f"{report['units_resumed']} of {report['units']} units resumed; engine calls finished by a worker that was "
        f"killed before it could keep them: {sum(finished.values()) - len(finished)} texts",
        f"node-seconds {report['node_seconds']}, cost {report['cost']} at prices {_PRICES}",
    ]
    return Report(NAME, [row, engine, whole, again, dealt_row], notes)


def _start(home: Path, cluster: RayCluster, text_s: float) -> subprocess.Popen[bytes]:
    command = (sys.executable, "-m", "tests.benchmarks.spot_backfill", str(home), str(text_s))
    environment = cluster.environment | {"QUARRY_NODE_PRICE_PER_HOUR": _PRICES}
    with (home / "driver.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=log, stderr=log)


def _take_away(
    backfill: Backfill, driver: subprocess.Popen[bytes], nodes: list[RayNode], texts: int, kills: int
) -> dict[str, int]:
    """Deal the kills, each when its share of the texts is embedded; how many there were of each kind."""
    choice, dealt = random.Random(0), dict.fromkeys(_SHARES, 0)
    kinds = choice.choices(list(_SHARES), list(_SHARES.values()), k=kills)
    for number, kind in enumerate(kinds, start=1):
        share = int(texts * number / (kills + 1))
        while driver.poll() is None and _done(backfill) < share:
            time.sleep(_LOOK_EVERY_S)
        if driver.poll() is not None:
            break
        dealt[kind] += 1
        print(f"kill {number} of {kills} at {share} texts: {kind}", flush=True)
        _deal(kind, backfill, nodes, choice)
    return dealt


def _deal(kind: str, backfill: Backfill, nodes: list[RayNode], choice: random.Random) -> None:
    if kind == "worker":
        wait_until(lambda: any(map(backfill.actors_on, nodes)), "a worker to kill")
        choice.choice([actor for node in nodes for actor in backfill.actors_on(node)]).kill()
        return
    victim = nodes.pop(choice.randrange(len(nodes)))
    if kind == "node":
        victim.vanish()
    else:
        victim.notice()
    nodes.append(backfill.cluster.join("spot"))


def _done(backfill: Backfill) -> int:
    """Texts that the engines have finished, by a glance at the journal."""
    path = backfill.journal.path
    return path.read_bytes().count(b"\ndone ") * UNIT_SIZE if path.exists() else 0


def main() -> None:
    """The driver of the backfill, in a process of its own."""
    home, text_s = Path(sys.argv[1]), float(sys.argv[2])
    ray.init(log_to_driver=False, logging_level="WARNING")
    job = embed_corpus.EmbedCorpus(nodes="spot", min_actors=ENGINES, max_actors=ENGINES, unit_size=UNIT_SIZE)
    embed_corpus.run(job, Settings(home=home, embedding_threads=ACTOR_CPUS), SPEC, lambda: SteadyEngine(home, text_s))


if __name__ == "__main__":
    main()
