"""The reports of the window of a corpus that was judged last, of documents and of queries: files, and MLflow."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluation.drift_report import Findings, write_report
from evaluation.tracking import connect, log_drift
from include.quarry.catalog.database import Database
from include.quarry.drift.content import read_texts
from include.quarry.drift.memory import JudgedWindow, Memory
from include.quarry.drift.reference import Subject
from include.quarry.drift.remedy import choose_remedy, query_remedy
from include.quarry.drift.watching import DriftWatch
from include.quarry.drift.window import sampled
from include.quarry.drift.words import spell
from include.quarry.embedding.engine import embedders
from include.quarry.errors import NotFound
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report is about, its page, and MLflow's run id where the report is kept there too."""

    subject: Subject
    page: Path
    run_id: str | None


def report_drift(corpus: str, until: datetime | None, settings: Settings, track: str | None) -> list[Reported]:
    """Write the reports of the window that ended then, or of the newest: documents first, then queries if judged.

    `track` is MLflow's address, or None to keep nothing there. Raises `NotFound` when nothing was judged since the
    live version was promoted.
    """
    with closing(Database(settings.catalog_url)) as database:
        watch = DriftWatch(database, VectorLake(database, settings.lake_uri), settings.home.absolute(), corpus)
        reported = []
        for memory, findings in [
            *_of_documents(database, watch, _judged(watch.memory(), until)),
            *_of_queries(watch, _judged(watch.queries.memory, until), settings),
        ]:
            newest = findings.newest
            paths = write_report(memory.report_folder(newest.until), findings)
            tags = {
                "corpus": corpus,
                "subject": findings.reference.subject,
                "index_version": watch.version.version_id,
                "remedy": findings.remedy.action,
            }
            run_id = None if track is None else log_drift(connect(track), newest.verdict, tags, paths)
            reported.append(Reported(findings.reference.subject, paths[0], run_id))
    if not reported:
        raise NotFound(
            f"no window of corpus {corpus!r} was judged since version {watch.version.version_id!r} is live; "
            "run the Dag detect_drift first"
        )
    return reported


def _judged(memory: Memory, until: datetime | None) -> list[JudgedWindow]:
    ended = None if until is None else until.astimezone(UTC).replace(microsecond=0)
    history = memory.history(ended)
    return history if history and ended in (None, history[-1].until) else []


def _of_documents(
    database: Database, watch: DriftWatch, history: list[JudgedWindow]
) -> Iterator[tuple[Memory, Findings]]:
    memory = watch.memory()
    reference = memory.reference
    if reference and history:
        window = sampled(watch.window(history[-1].since, history[-1].until), seed=0)
        spelled = spell(read_texts(database, window.texts.chunk_ids))
        yield memory, Findings(reference, window, history, choose_remedy(history[-1].verdict), spelled)


def _of_queries(
    watch: DriftWatch, history: list[JudgedWindow], settings: Settings
) -> Iterator[tuple[Memory, Findings]]:
    memory = watch.queries.memory
    reference = memory.reference
    if reference and history:
        since, until = history[-1].since, history[-1].until
        texts = watch.queries.texts(since, until)
        window = watch.queries.window(embedders(settings)(watch.version.spec.embedding), since, until)
        remedy = query_remedy(history[-1].verdict)
        yield memory, Findings(reference, window, history, remedy, spell(texts.values()), texts)
