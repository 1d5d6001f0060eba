"""Both versions of a comparison asked the same queries, in turns: over HTTP, or in this process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluation.comparison import Comparison, compare
from evaluation.drivers.http import HttpDriver
from evaluation.drivers.in_process import InProcessDriver
from evaluation.drivers.protocol import Driver
from evaluation.harness import Outcome, ask_in_turns
from evaluation.judgments import Suite
from evaluation.opening import open_versions
from evaluation.progress import progress_bar
from evaluation.record import RunRecord
from evaluation.run import TOP_K, make_record
from include.quarry.catalog.versions import IndexVersion
from include.quarry.embedding.engine import LoadEmbedder
from include.quarry.gateway.composition import own_token
from include.quarry.settings import Settings


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to ask: the API at `url`, or both versions in this process."""

    url: str = ""
    in_process: bool = True
    tenant: str = "default"
    connections: int = 1


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: what was to answer, what it answered, and the bytes of its snapshot."""

    version: IndexVersion
    record: RunRecord
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Both sides of a comparison. `split` is the share of queries they answered at different places of the log."""

    live: Side
    candidate: Side
    split: float
    comparison: Comparison


def _make_trial(live: Side, candidate: Side, outcomes: Sequence[Sequence[Outcome]], metric: str) -> Trial:
    """`outcomes` holds the live version's and the candidate's answers, in the same order."""
    pairs = list(zip(*outcomes, strict=True))
    split = sum(ours.watermark != theirs.watermark for ours, theirs in pairs) / len(pairs)
    return Trial(live, candidate, split, compare(live.record, candidate.record, metric))


async def try_both(
    suite: Suite,
    versions: tuple[IndexVersion, IndexVersion],
    settings: Settings,
    options: AskOptions,
    load: LoadEmbedder,
) -> Trial:
    """Ask the suite's queries of the live version and the candidate. Raises what the drivers raise."""
    started_at, rounds = datetime.now(UTC), suite.card.gate.rounds
    async with _drivers(versions, settings, options, load) as drivers:
        with progress_bar() as progress:
            task = progress.add_task("asking both", total=2 * rounds * len(suite.queries))
            outcomes = await ask_in_turns(
                suite.queries,
                drivers,
                top_k=TOP_K,
                connections=options.connections,
                rounds=rounds,
                on_outcome=lambda _outcome: progress.advance(task),
            )
    sides = [
        Side(
            version,
            make_record(
                suite,
                answers,
                driver=driver.name,
                corpus=version.corpus,
                tenant=options.tenant,
                connections=options.connections,
                spec=version.spec.fingerprint,
                started_at=started_at,
            ),
            _size_bytes(version),
        )
        for version, answers, driver in zip(versions, outcomes, drivers, strict=True)
    ]
    return _make_trial(sides[0], sides[1], outcomes, suite.card.gate_metric)


@asynccontextmanager
async def _drivers(
    versions: Sequence[IndexVersion], settings: Settings, options: AskOptions, load: LoadEmbedder
) -> AsyncIterator[list[Driver]]:
    if options.in_process:
        with open_versions(versions, settings, load) as opened:
            yield [
                InProcessDriver(
                    each.retriever,
                    tenant=options.tenant,
                    index_version=each.version.version_id,
                )
                for each in opened
            ]
        return
    token = own_token(settings, options.tenant, "retrieve", "admin")
    drivers = [
        HttpDriver(
            options.url,
            corpus=version.corpus,
            token=token,
            connections=options.connections,
            index_version=version.version_id,
        )
        for version in versions
    ]
    try:
        yield list(drivers)
    finally:
        for driver in drivers:
            await driver.close()


def _size_bytes(version: IndexVersion) -> int:
    return sum(path.stat().st_size for path in Path(version.snapshot).rglob("*") if path.is_file())
