"""Run the benchmarks, or those that are named: `python -m tests.benchmarks [name ...]`.

Each prints a table; figures and a picture are left under `<QUARRY_HOME>/bench/`. Ends with 1 when a bar was missed.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import load_settings
from tests.benchmarks import (
    audit_cost,
    backfill_rate,
    cache,
    changes,
    drift_power,
    front_door,
    gateway,
    indexer_memory,
    limits_cost,
    priorities,
    promotion,
    reindex,
    retrieval_http,
    spot_backfill,
    streaming,
    vector_stores,
)
from tests.benchmarks.report import Report, keep, machine, show
from tests.benchmarks.undisturbed import Stolen

Bench = Callable[[argparse.Namespace, Path], Report]


def main() -> int:
    arguments = _parse()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # what the platform sets; a second FAISS thread fights the engine
    os.chdir(REPOSITORY)
    folder = load_settings().home.absolute() / "bench"
    console, conditions, missed = Console(width=120), [], []
    for name in arguments.names or BENCHES:
        conditions.append(f"before {name}: {machine()}")
        console.print(conditions[-1], highlight=False)
        stolen = Stolen()
        report = BENCHES[name](arguments, folder)
        show(report, console)
        after = f"after {name}: {machine()}; its host took {stolen.share():.1%} of the processors meanwhile"
        console.print(after, highlight=False)
        keep(report, [*conditions, after], folder)
        if not report.met:
            missed.append(name)
    console.print(f"figures and pictures are in {folder}" + (f"; bars missed in {', '.join(missed)}" if missed else ""))
    return len(missed) > 0


def _retrieval_http(arguments: argparse.Namespace, folder: Path) -> Report:
    return retrieval_http.run(folder / "home", arguments.corpus, arguments.rounds, arguments.seconds)


def _backfill_rate(arguments: argparse.Namespace, folder: Path) -> Report:
    return backfill_rate.run(folder, arguments.chunks)


def _audit_cost(_arguments: argparse.Namespace, folder: Path) -> Report:
    return audit_cost.run(folder)


def _embedding_engines(_arguments: argparse.Namespace, folder: Path) -> Report:
    """It prints its own tables."""
    command = [sys.executable, "-m", "tests.benchmarks.embedding_engines", f"--cache={folder / 'home/models'}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Report("embedding_engines", notes=done.stdout.splitlines())


def _drift_power(arguments: argparse.Namespace, folder: Path) -> Report:
    return drift_power.run(folder, arguments.corpus.parent, arguments.splits)


def _vector_stores(arguments: argparse.Namespace, folder: Path) -> Report:
    return vector_stores.run(folder, arguments.rows)


def _promotion(arguments: argparse.Namespace, folder: Path) -> Report:
    return promotion.run(folder, arguments.switches, arguments.seconds)


def _spot_backfill(arguments: argparse.Namespace, folder: Path) -> Report:
    return spot_backfill.run(folder, arguments.kills, arguments.text_seconds)


def _limits_cost(_arguments: argparse.Namespace, _folder: Path) -> Report:
    return limits_cost.run()


def _gateway(arguments: argparse.Namespace, folder: Path) -> Report:
    return gateway.run(folder / "home", arguments.corpus, arguments.rounds, arguments.seconds)


def _front_door(_arguments: argparse.Namespace, _folder: Path) -> Report:
    return front_door.run()


def _changes(arguments: argparse.Namespace, folder: Path) -> Report:
    return changes.run(folder, arguments.documents)


def _indexer_memory(arguments: argparse.Namespace, folder: Path) -> Report:
    return indexer_memory.run(folder, arguments.changes)


def _reindex(arguments: argparse.Namespace, folder: Path) -> Report:
    return reindex.run(folder, arguments.rows)


def _priorities(arguments: argparse.Namespace, folder: Path) -> Report:
    return priorities.run(folder, arguments.requests)


def _streaming(arguments: argparse.Namespace, folder: Path) -> Report:
    return streaming.run(folder, arguments.requests)


def _cache(arguments: argparse.Namespace, folder: Path) -> Report:
    return cache.run(folder, arguments.corpus, arguments.rounds, arguments.seconds, arguments.reads)


BENCHES: dict[str, Bench] = {
    "retrieval_http": _retrieval_http,
    "cache": _cache,
    "changes": _changes,
    "indexer_memory": _indexer_memory,
    "front_door": _front_door,
    "gateway": _gateway,
    "audit_cost": _audit_cost,
    "priorities": _priorities,
    "streaming": _streaming,
    "limits_cost": _limits_cost,
    "backfill_rate": _backfill_rate,
    "embedding_engines": _embedding_engines,
    "vector_stores": _vector_stores,
    "drift_power": _drift_power,
    "promotion": _promotion,
    "reindex": _reindex,
    "spot_backfill": _spot_backfill,
}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--corpus", type=Path, default=REPOSITORY.parent / "shared/data/vaswani", help="BEIR layout")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of retrieval_http, gateway and cache")
    parser.add_argument("--seconds", type=float, default=15, help="seconds of one round")
    parser.add_argument("--reads", type=int, default=100_000, help="reads of cache while everything changes")
    parser.add_argument("--documents", type=int, default=3000, help="documents that come at once in changes")
    parser.add_argument("--changes", type=int, default=100_000, help="changes of indexer_memory")
    parser.add_argument("--chunks", type=int, default=5000, help="chunks of backfill_rate")
    parser.add_argument("--requests", type=int, default=40, help="requests of a tenant in priorities and streaming")
    parser.add_argument("--rows", type=int, default=100_000, help="vectors of vector_stores, chunks of reindex")
    parser.add_argument("--splits", type=int, default=200, help="unchanged windows of drift_power, for each corpus")
    parser.add_argument("--switches", type=int, default=20, help="promotions and rollbacks of promotion")
    parser.add_argument("--kills", type=int, default=30, help="kills of spot_backfill")
    parser.add_argument("--text-seconds", type=float, default=0.1, help="what spot_backfill's engine takes for a text")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHES):
        parser.error(f"unknown benchmarks {sorted(unknown)}; there are {', '.join(BENCHES)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
