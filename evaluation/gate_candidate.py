"""The gate of a candidate, from its name to a verdict: inspect it, doubt the suite, ask both versions, judge.

A faulty candidate is refused without being asked anything, and so is one that the suite cannot judge.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from evaluation.candidate import judge_candidate
from evaluation.freshness import doubts_about_age, doubts_about_training, read_trained_on
from evaluation.gate import Verdict, decide
from evaluation.gate_record import GateRecord, checks_of, comparison_of, reasons_of
from evaluation.judgments import Suite
from evaluation.structure import Facts, inspect
from evaluation.trial import AskOptions, Trial, try_both
from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.embedding.engine import LoadEmbedder, embedders
from include.quarry.errors import Conflict, InvalidInput, NotFound
from include.quarry.routing.follower import PATIENCE_S
from include.quarry.settings import Settings

LIVE = "live"


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What to compare with, and how. `trained_on` is a file that lists the queries which the candidate was tuned on;
    `patience_s` is how long chunks may wait for their vectors."""

    asking: AskOptions = field(default_factory=AskOptions)
    against: str = LIVE
    trained_on: Path | None = None
    patience_s: float = PATIENCE_S


def gate_version(
    version_id: str, suite: Suite, settings: Settings, options: GateOptions, load: LoadEmbedder | None = None
) -> GateRecord:
    """Decide whether a version may take the place of another.

    Raises `NotFound`, or `Conflict` when one of the two has no snapshot, `InvalidInput` when they cannot be compared,
    and over HTTP `NotFound` when no replica holds one of them.
    """
    load = load or embedders(settings)
    live, candidate = _find(version_id, options.against, settings)
    record = GateRecord(
        suite=suite.name,
        corpus=candidate.corpus,
        candidate=candidate.version_id,
        against=live.version_id,
        started_at=datetime.now(UTC),
        outcome="undecided",
        reasons=(),
        checks=(),
        facts={},
    )
    faults, facts = inspect(candidate, settings, suite.card.gate, load, patience_s=options.patience_s)
    if faults:
        return _closed(record, decide((), faults=faults, praise=""), facts)
    if doubts := _doubts(suite, candidate.corpus, settings, options):
        return _closed(record, decide((), doubts=doubts, praise=""), facts)
    trial = asyncio.run(try_both(suite, (live, candidate), settings, options.asking, load))
    return _closed(record, judge_candidate(trial, suite.card), facts, trial, suite.card.gate.margin)


def _find(version_id: str, against: str, settings: Settings) -> tuple[IndexVersion, IndexVersion]:
    """The version to beat, and the candidate."""
    database = Database(settings.catalog_url)
    with database.read() as connection:
        candidate = find_version(connection, version_id)
        route = find_route(connection, candidate.corpus)
        if against == LIVE and route is None:
            raise NotFound(f"corpus {candidate.corpus!r} has no live version to compare with; name one with --against")
        live = find_version(connection, route.live_version if against == LIVE and route else against)
    database.close()
    for version in (live, candidate):
        if not version.snapshot:
            raise Conflict(
                f"index version {version.version_id!r} is {version.state} and has no snapshot; build it first"
            )
    if live.corpus != candidate.corpus or live.version_id == candidate.version_id:
        raise InvalidInput(
            f"{candidate.version_id!r} of corpus {candidate.corpus!r} cannot be compared with {live.version_id!r} of "
            f"{live.corpus!r}; name another version of the same corpus"
        )
    return live, candidate


def _doubts(suite: Suite, corpus: str, settings: Settings, options: GateOptions) -> list[str]:
    """Doubts about the suite, which are known before anything is asked."""
    policy, database = suite.card.gate, Database(settings.catalog_url)
    trained_on = read_trained_on(options.trained_on) if options.trained_on else frozenset()
    doubts = list(doubts_about_training(suite, trained_on, max_share=policy.max_trained_share))
    with database.read() as connection:
        share = policy.max_stale_share
        doubts += doubts_about_age(connection, suite, corpus=corpus, tenant=options.asking.tenant, max_share=share)
    database.close()
    return doubts


def _closed(
    record: GateRecord, verdict: Verdict, facts: Facts, trial: Trial | None = None, margin: float = 0.0
) -> GateRecord:
    asked = (
        {
            "comparison": comparison_of(trial, margin),
            "live_run": trial.live.record,
            "candidate_run": trial.candidate.record,
            "facts": facts | {"size_bytes": trial.candidate.size_bytes, "live_size_bytes": trial.live.size_bytes},
        }
        if trial
        else {"facts": facts}
    )
    decided = {"outcome": verdict.outcome, "reasons": reasons_of(verdict), "checks": checks_of(verdict)}
    return record.model_copy(update=decided | asked)
