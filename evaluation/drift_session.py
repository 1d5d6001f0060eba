"""The report of the window of a corpus that was judged last: files in the home, and the same in MLflow."""

from datetime import UTC, datetime
from pathlib import Path

from evaluation.drift_picture import JudgedWindow
from evaluation.drift_report import write_report
from evaluation.tracking import connect, log_drift
from include.quarry.catalog.database import Database
from include.quarry.drift.remedy import choose_remedy
from include.quarry.drift.watching import DriftWatch
from include.quarry.errors import NotFound
from include.quarry.lake.vectors import VectorLake
from include.quarry.settings import Settings


def report_drift(corpus: str, until: datetime | None, settings: Settings, track: str | None) -> tuple[Path, str | None]:
    """Write the report of the window that ended then, or of the newest; gives its page and MLflow's run id.

    `track` is MLflow's address, or None to keep nothing there.

    Raises `NotFound` when no window was judged since the live version was promoted.
    """
    database = Database(settings.catalog_url)
    watch = DriftWatch(database, VectorLake(database, settings.lake_uri), settings.home.absolute(), corpus)
    memory = watch.memory()
    ended = None if until is None else until.astimezone(UTC).replace(microsecond=0)
    reference, history = memory.reference, [JudgedWindow(*judged) for judged in memory.history(ended)]
    if reference is None or not history:
        raise NotFound(
            f"no window of corpus {corpus!r} was judged since version {watch.version.version_id!r} is live; "
            "run the Dag detect_drift first"
        )
    newest = history[-1]
    remedy = choose_remedy(newest.verdict)
    window = watch.window(newest.since, newest.until)
    paths = write_report(memory.report_folder(newest.until), reference, window, history, remedy)
    database.close()
    run_id = None
    if track is not None:
        tags = {"corpus": corpus, "index_version": watch.version.version_id, "remedy": remedy.action}
        run_id = log_drift(connect(track), newest.verdict, tags, paths)
    return paths[0], run_id
