"""From a suite to a record: prepare the corpus, open a way to ask, run, and show how it goes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from evaluation.drivers.http import HttpDriver
from evaluation.drivers.in_process import InProcessDriver
from evaluation.drivers.protocol import Driver
from evaluation.judgments import Suite
from evaluation.preparation import PreparedCorpus, open_corpus, prepare_corpus
from evaluation.progress import progress_bar
from evaluation.record import RunRecord
from evaluation.run import run_suite
from include.quarry.gateway.composition import own_token
from include.quarry.settings import Settings


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run. With a `corpus`, that one is asked as it stands and nothing is ingested."""

    url: str
    tenant: str
    connections: int
    in_process: bool
    corpus: str | None


async def execute(suite: Suite, options: RunOptions, settings: Settings) -> RunRecord:
    """Prepare the suite's corpus if it brings one, then run the suite. Raises what preparation and driver raise."""
    prepared = None if options.corpus or suite.corpus_file is None else _prepare(suite, options, settings)
    corpus = prepared.corpus if prepared else options.corpus or suite.corpus
    async with _driver(corpus, options, settings) as driver:
        with progress_bar() as progress:
            task = progress.add_task("asking", total=len(suite.queries))
            return await run_suite(
                suite,
                driver,
                corpus=corpus,
                tenant=options.tenant,
                connections=options.connections,
                spec=prepared.spec if prepared else "",
                ingestion=prepared.ingestion if prepared else None,
                on_outcome=lambda _outcome: progress.advance(task),
            )


def _prepare(suite: Suite, options: RunOptions, settings: Settings) -> PreparedCorpus:
    with progress_bar() as progress:
        tasks = []

        def begin(phase: str, total: int) -> None:
            tasks.append(progress.add_task(phase, total=total))

        def advance(done: int) -> None:
            progress.update(tasks[-1], completed=done)

        return prepare_corpus(
            suite,
            settings,
            tenant=options.tenant,
            in_process=options.in_process,
            on_phase=begin,
            on_progress=advance,
        )


@asynccontextmanager
async def _driver(corpus: str, options: RunOptions, settings: Settings) -> AsyncIterator[Driver]:
    if options.in_process:
        with open_corpus(corpus, settings) as opened:
            yield InProcessDriver(
                opened.retriever,
                tenant=options.tenant,
                index_version=opened.version.version_id,
            )
        return
    token = own_token(settings, options.tenant, "retrieve")
    driver = HttpDriver(options.url, corpus=corpus, token=token, connections=options.connections)
    try:
        yield driver
    finally:
        await driver.close()
