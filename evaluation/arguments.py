"""The options of commands that have many."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from evaluation.gate_candidate import LIVE
from include.quarry.generation.protocol import Wanted
from include.quarry.routing.follower import PATIENCE_S
from include.quarry.settings import Settings


def add_run_options(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """What `run` and `gate` have in common."""
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the run's record to this file")
    parser.add_argument("--picture", type=Path, metavar="OUT", help="draw scores and latencies into this PNG file")
    parser.add_argument("--no-track", dest="track", action="store_false", help="keep nothing in MLflow")
    parser.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")
    parser.add_argument("--url", default=settings.http_url, help="Quarry's HTTP API (default: %(default)s)")
    parser.add_argument("--in-process", action="store_true", help="ask the index in this process, without servers")
    parser.add_argument("--connections", type=positive, default=1, metavar="N", help="queries at once (default: 1)")
    parser.add_argument("--tenant", default="default", help="default: %(default)s")
    parser.add_argument("--corpus", metavar="NAME", help="ask this corpus as it stands, and ingest nothing")


def moment(text: str) -> datetime:
    """A time in ISO 8601; one that names no zone is UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def add_tiers_options(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """What `tiers` takes."""
    parser.add_argument("--suite", type=Path, required=True, metavar="FOLDER", help="BEIR layout with answers.jsonl")
    _add_counts(parser, answerable=100, unanswerable=50)
    choices: tuple[Wanted, ...] = get_args(Wanted)
    parser.add_argument("--tiers", nargs="+", choices=choices, default=choices, help="default: all, side by side")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every answer to this file")
    parser.add_argument("--no-track", dest="track", action="store_false", help="keep nothing in MLflow")
    parser.add_argument("--mlflow", default=settings.mlflow_url, metavar="URI", help="default: %(default)s")


def add_gate_options(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """What `gate` takes: a run, an index version or a generation release to decide about."""
    parser.add_argument("record", nargs="?", help="a run: JSON file or MLflow id; default: run the suite now")
    parser.add_argument("--suite", metavar="NAME_OR_FOLDER", help="whose thresholds; default: the run's own")
    parser.add_argument("--baseline", metavar="RUN", help="also fail if significantly worse than this run")
    parser.add_argument("--candidate", metavar="VERSION", help="judge this index version against another")
    parser.add_argument("--against", default=LIVE, metavar="VERSION", help="the other one (default: %(default)s)")
    parser.add_argument("--trained-on", type=Path, metavar="FILE", help="hashes of queries the candidate was tuned on")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, metavar="S", help="wait for vectors (default: %(default)s)"
    )
    parser.add_argument("--release", metavar="RELEASE", help="judge this model and prompt against its tier's live one")
    _add_counts(parser, answerable=100, unanswerable=40)
    add_run_options(parser, settings)


def _add_counts(parser: argparse.ArgumentParser, *, answerable: int, unanswerable: int) -> None:
    parser.add_argument("--answerable", type=positive, default=answerable, metavar="N", help="default: %(default)s")
    parser.add_argument("--unanswerable", type=positive, default=unanswerable, metavar="N", help="default: %(default)s")


def positive(text: str) -> int:
    """A count, which is at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number
