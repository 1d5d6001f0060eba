"""The demonstration: documents go through Airflow, Ray, an index and the HTTP API, and come out as cited answers.

Every phase shows progress and its duration, and does nothing when its work is done already.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.errors import NotFound, Unavailable
from include.quarry.gateway.composition import own_token
from include.quarry.operations import demo_catalog
from include.quarry.operations.airflow_api import FINAL_STATES, AirflowApi, DagRun, read_password
from include.quarry.operations.demo_answers import DEFAULT_QUESTIONS, ask, print_answer, questions_about
from include.quarry.operations.demo_relevance import print_relevance
from include.quarry.operations.installation import Installation
from include.quarry.operations.progress import Phase, console, phase
from include.quarry.operations.status import print_addresses
from include.quarry.operations.up import tail, up

CORPUS = "main"
_POLL_S = 1.0
_TRIGGER_PATIENCE_S = 25.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the phases share."""

    installation: Installation
    airflow: AirflowApi
    database: Database
    began: datetime

    def follow(self, run: DagRun, step: Phase, show: Callable[[], object]) -> None:
        """Watch a run to its end. Raises `Unavailable` with the place and the tail of the log when it fails."""
        while (run := self.airflow.look(run)).state not in FINAL_STATES:
            show()
            time.sleep(_POLL_S)
        if run.state == "failed":
            raise Unavailable(self._why(run))
        step.say(run.state)

    def _why(self, run: DagRun) -> str:
        lines = [f"the run {run.run_id} of {run.dag_id} failed"]
        for task_id, attempt in self.airflow.failed_tasks(run):
            folder = self.installation.logs / "airflow" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
            log = folder / f"task_id={task_id}" / f"attempt={attempt}.log"
            lines += [f"task {task_id}; its log is {log}", tail(log, 6)]
        return "\n".join(lines)


def demo(installation: Installation, docs: str | None, questions: list[str] | None) -> None:
    """Run every phase. Raises `QuarryError` saying what failed and where its log is."""
    began = time.monotonic()
    settings = installation.settings
    folder, own = own_documents(docs, settings.docs)
    up(installation)
    airflow = AirflowApi(settings.airflow_url, read_password(installation.airflow_passwords))
    database = Database(settings.catalog_url)
    show = Demo(installation, airflow, database, datetime.now(UTC))
    ingest(show, folder)
    embed(show)
    index(show)
    if own:
        console.print("• no relevance is measured: the suite that ships with Quarry judges its own default documents")
    else:
        judge(show)
    answer(
        show,
        questions or (questions_about(demo_catalog.titles(database, CORPUS, own)) if own else DEFAULT_QUESTIONS),
    )
    database.close()
    print_addresses(installation)
    console.print(f"\n[bold]done in {time.monotonic() - began:.0f} s[/]; `make down` stops everything")


def ingest(show: Demo, folder: str) -> None:
    """Airflow reads the documents, cuts them and commits them to the log."""
    with phase("ingest documents (Airflow: ingest_documents)") as step:
        run = show.airflow.trigger("ingest_documents", {"folder": folder} if folder else {})
        total = demo_catalog.offered(folder or show.installation.settings.docs)
        show.follow(run, step, lambda: step.count(demo_catalog.documents(show.database, CORPUS), total, "documents"))
        kept, aside = demo_catalog.documents(show.database, CORPUS), demo_catalog.quarantined(show.database, CORPUS)
    console.print(f"  {kept} documents in the corpus, {aside} in quarantine")


def embed(show: Demo) -> None:
    """Ray Data embeds what has no vector yet; the asset event of the ingestion starts it."""
    spec = show.installation.settings.index_spec()
    with phase("embed (Airflow: backfill_embeddings, Ray Data)") as step:

        def progress() -> tuple[int, int]:
            done, total = demo_catalog.embedded(show.database, CORPUS, spec)
            step.count(done, total, "texts")
            return done, total

        _await_run(show, "backfill_embeddings", step, progress, lambda: progress()[0] == progress()[1])
        done, total = progress()
    console.print(f"  {done} of {total} texts have a vector")


def index(show: Demo) -> None:
    """A version is built, proven complete and promoted; the asset event of the embedding starts it when needed."""
    with phase("build, check and promote an index (Airflow: reindex_corpus)") as step:
        if demo_catalog.live_version(show.database, CORPUS) is None:

            def progress() -> None:
                step.say(demo_catalog.building(show.database, CORPUS))

            _await_run(
                show, "reindex_corpus", step, progress, lambda: bool(demo_catalog.live_version(show.database, CORPUS))
            )
        version = demo_catalog.live_version(show.database, CORPUS)
        if version is None:
            raise Unavailable(f"no index version of {CORPUS!r} went live; see `make logs PART=airflow-scheduler`")
    console.print(f"  live version {version}")


def judge(show: Demo) -> None:
    """The suite's questions go through the HTTP API, and the numbers to MLflow."""
    with phase("measure relevance (Airflow: evaluate_relevance, MLflow)") as step:
        run = show.airflow.trigger("evaluate_relevance", {"suite": "environment"})
        show.follow(run, step, lambda: step.say("asking the judged questions"))
    print_relevance(show.installation.settings.mlflow_url)


def answer(show: Demo, questions: list[str]) -> None:
    """Ask over HTTP, and print answers with citations."""
    token = own_token(show.installation.settings, "default", "answer")
    for question in questions[:3]:
        with phase(f"ask: {question}"):
            answered = ask(show.installation.settings.http_url, question, token)
        print_answer(answered)


def _await_run(
    show: Demo, dag_id: str, step: Phase, progress: Callable[[], object], is_done: Callable[[], bool]
) -> None:
    """Follow the run that an asset event started since the demo began, if there is work; start one when none comes."""
    deadline = time.monotonic() + _TRIGGER_PATIENCE_S
    while not is_done():
        run = show.airflow.newest_since(dag_id, show.began)
        if run is None and time.monotonic() > deadline:
            run = show.airflow.trigger(dag_id, {})
        if run is not None:
            show.follow(run, step, progress)
            if not is_done():
                show.follow(show.airflow.trigger(dag_id, {}), step, progress)
            return
        time.sleep(_POLL_S)


def own_documents(docs: str | None, setting: str) -> tuple[str, str]:
    """(the folder to hand to the ingestion, empty for what the setting says; the folder that is read, empty for the
    default documents). Raises `NotFound`."""
    folder = _folder("DOCS", docs) if docs else ""
    return folder, folder or ("" if setting == "environment:" else _folder("QUARRY_DOCS", setting))


def _folder(name: str, said: str) -> str:
    folder = Path(said).expanduser().resolve()
    if not folder.is_dir():
        raise NotFound(f"{name}={said} is no folder; give a folder of md, rst, html, txt, pdf or docx files")
    return str(folder)
