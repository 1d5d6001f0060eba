"""Bring the catalog up to date with a folder of documents.

Runs every hour, and by hand with another folder, corpus or tenant. Each document that is new or changed is parsed,
cut and committed to the catalog's log together with the feed's offset, so a run that dies is simply run again;
unchanged documents cost a hash, and one that cannot be parsed is quarantined while the rest goes on.

Streams are read by replicas all the time. With a Kafka topic among `QUARRY_FEEDS` this Dag also wakes when the topic
has news, once a minute at most: the message is an alarm clock, what is pending the catalog's offsets say.

`check_freshness` fails the run when a change has waited longer than `QUARRY_FRESHNESS_SLO_S` to become searchable: one
in the log, or a message that nobody has read.

When something has changed, the asset `quarry://catalog` says so, and `backfill_embeddings` follows.
"""

from dataclasses import asdict

from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from quarry_dag import CATALOG, at, name_param, quarry_dag
from stream_alarm import or_on_news

from include.quarry.settings import load_settings

with quarry_dag(
    __file__,
    doc=__doc__,
    schedule=or_on_news(at("0 * * * *"), load_settings().feeds),
    tags=["ingestion"],
    params={
        "folder": Param("", type="string", description="Folder to read; empty means the setting QUARRY_DOCS"),
        "corpus": name_param("main", "Corpus that the documents belong to"),
        "tenant": name_param("default", "Tenant that owns the documents"),
    },
) as dag:

    @task
    def scan_feed(folder: str, corpus: str, tenant: str) -> dict[str, int]:
        """Commit what is new, changed or gone; returns the counts."""
        from include.quarry.feeds.ingestion import ingest_feed  # noqa: PLC0415 heavy

        settings = load_settings()
        report = asdict(ingest_feed(folder or settings.docs, corpus=corpus, tenant=tenant, settings=settings))
        print(", ".join(f"{count} {name}" for name, count in report.items()))
        return report

    @task(outlets=[CATALOG])
    def announce_changes(report: dict[str, int]) -> None:
        """Raise the asset event, unless nothing has changed."""
        if not any(report[kind] for kind in ("changed", "deleted")):
            raise AirflowSkipException("nothing has changed")

    @task
    def check_freshness() -> dict[str, float]:
        """Fail, once and for good, when something lags more than the SLO allows; returns the lags, in seconds."""
        from include.quarry.operations.freshness import lags  # noqa: PLC0415 heavy

        settings = load_settings()
        found = lags(settings)
        if late := [f"{what} lags {s:.0f} s" for what, s in found.items() if s > settings.freshness_slo_s]:
            raise AirflowFailException(f"{'; '.join(late)}; {settings.freshness_slo_s:g} s are allowed")
        return found

    check_freshness()
    scanned = scan_feed("{{ params.folder }}", "{{ params.corpus }}", "{{ params.tenant }}")
    announce_changes(scanned)  # type: ignore[arg-type]
