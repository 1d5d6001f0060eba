"""Brings a suite's corpus into Quarry through the product's real path, and leaves a promoted index behind.

Over HTTP that path is the running platform's: the feed is committed to the log, then Airflow's `reindex_corpus` embeds
on Ray, builds, checks and promotes. In process, for a quick look, the same library functions run here without servers.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evaluation.corpus_feed import CorpusFeed, read_documents
from evaluation.judgments import Suite
from evaluation.opening import OpenedVersion, open_versions
from evaluation.record import Ingestion
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.embedding.engine import embedders
from include.quarry.errors import NotFound, Unavailable
from include.quarry.feeds.ingestion import FeedPass, make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.backfill import embed_unit, plan_units
from include.quarry.lake.pending import PendingQuery, count_texts, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.operations.airflow_api import FINAL_STATES, AirflowApi, read_password
from include.quarry.operations.installation import Installation
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec

_UNIT_SIZE = 64
_POLL_S = 0.5

OnPhase = Callable[[str, int], None]
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """A corpus that is ready to be asked. `spec` is the fingerprint of its index spec."""

    corpus: str
    spec: str
    ingestion: Ingestion


def prepare_corpus(
    suite: Suite, settings: Settings, *, tenant: str, in_process: bool, on_phase: OnPhase, on_progress: OnProgress
) -> PreparedCorpus:
    """Ingest, embed, build, check and promote; documents that did not change cost nothing.

    `on_phase(name, total)` is called when a phase begins, `on_progress(done)` as it goes. `docs/s` is over the whole
    time, from the first document read to the promotion. Raises `Unavailable` when a part of the platform is down.
    """
    assert suite.corpus_file is not None  # noqa: S101 - the caller asks only for suites that bring a corpus
    started, spec = time.monotonic(), settings.index_spec()
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    total = sum(1 for _ in read_documents(suite.corpus_file, corpus=suite.corpus))
    on_phase("ingesting documents", total)
    changed = _ingest(suite, settings, database, tenant, on_progress)
    if changed or _live_spec(database, suite.corpus) != spec or _waits(database, suite.corpus, spec):
        embed_and_build = _with_library if in_process else _with_platform
        embed_and_build(suite.corpus, settings, database, on_phase, on_progress)
    database.close()
    return PreparedCorpus(
        suite.corpus, spec.fingerprint, Ingestion(documents=total, seconds=time.monotonic() - started)
    )


@contextmanager
def open_corpus(corpus: str, settings: Settings) -> Iterator[OpenedVersion]:
    """Load the live index of a corpus into this process. Raises `NotFound` when it has none."""
    database = Database(settings.catalog_url)
    version = _live_version(database, corpus)
    database.close()
    if version is None:
        raise NotFound(f"corpus {corpus!r} has no live index version; ingest into it, then run reindex_corpus")
    with open_versions([version], settings, embedders(settings)) as (opened,):
        yield opened


def _ingest(suite: Suite, settings: Settings, database: Database, tenant: str, on_progress: OnProgress) -> int:
    """Commit the corpus to the log; how many documents that changed."""
    ingestor = Ingestor(database, make_chunker, settings.max_document_bytes)
    assert suite.corpus_file is not None  # noqa: S101 - checked by the caller
    feed = CorpusFeed(suite.corpus_file, corpus=suite.corpus, tenant=tenant)
    report = FeedPass(feed, suite.corpus, tenant, ingestor, database).run(on_progress)
    return report.changed + report.deleted


def _with_platform(
    corpus: str, settings: Settings, database: Database, on_phase: OnPhase, on_progress: OnProgress
) -> None:
    """Let the running platform do it: one run of `reindex_corpus`."""
    airflow = AirflowApi(settings.airflow_url, read_password(Installation(settings).airflow_passwords))
    run = airflow.trigger("reindex_corpus", {"corpus": corpus})
    spec = settings.index_spec()
    space = (spec.chunker.fingerprint, spec.embedding.fingerprint)
    with database.read() as connection:
        on_phase("embedding, building and promoting", count_texts(connection, corpus, *space)[1])
    while run.state not in FINAL_STATES:
        time.sleep(_POLL_S)
        with database.read() as connection:
            on_progress(count_texts(connection, corpus, *space)[0])
        run = airflow.look(run)
    if run.state == "failed":
        tasks = ", ".join(task for task, _ in airflow.failed_tasks(run))
        raise Unavailable(f"run {run.run_id} of reindex_corpus failed in {tasks}; its log is in the Airflow UI")


def _with_library(
    corpus: str, settings: Settings, database: Database, on_phase: OnPhase, on_progress: OnProgress
) -> None:
    """The same steps in this process."""
    spec, lake = settings.index_spec(), VectorLake(database, settings.lake_uri)
    embedder = embedders(settings)(spec.embedding)
    window = PendingQuery(corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)
    with database.read() as connection:
        texts = pending_texts(connection, window)
    on_phase("embedding texts", len(texts))
    done = 0
    for unit in plan_units(texts, _UNIT_SIZE):
        done += embed_unit(unit, database, lake, embedder, "evaluation").texts
        on_progress(done)
    on_phase("building the index", 1)
    version_id = f"{corpus}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    build_version(version_id, corpus, spec, settings)
    check_completeness(version_id, settings)
    promote(version_id, settings)
    on_progress(1)


def _live_version(database: Database, corpus: str) -> IndexVersion | None:
    with database.read() as connection:
        route = find_route(connection, corpus)
        return None if route is None else find_version(connection, route.live_version)


def _waits(database: Database, corpus: str, spec: IndexSpec) -> bool:
    """Whether an earlier preparation died before everything was embedded."""
    with database.read() as connection:
        embedded, texts = count_texts(connection, corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)
    return embedded < texts


def _live_spec(database: Database, corpus: str) -> IndexSpec | None:
    version = _live_version(database, corpus)
    return None if version is None else version.spec
