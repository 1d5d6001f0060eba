"""Every night, end what has been kept long enough, index versions and the query log, and renew the snapshots of those
that stay.

A version that no longer answers, or that failed, keeps its files and follows the log for `QUARRY_VERSION_RETENTION_S`,
so that a promotion can be taken back. After that its snapshot is removed; the catalog remembers that it was there, and
why it went.

A version that stays on its route gets a new snapshot once the log is `QUARRY_SNAPSHOT_TAIL_CHANGES` further than the
old one, so that a replica that starts has little to replay. It is proven equal before it takes the old one's place.

A change stays in the log until every index version has applied it and `QUARRY_LOG_RETENTION_S` is over; the newest of
each document stays for ever.

A vector whose text no passage has had for `QUARRY_UNUSED_VECTOR_GRACE_S` goes. What uploads and streams have brought is
written from SQL into the lake's Parquet parts, together with small parts and those that have lost vectors.

None of this may change an answer: fifty searches, put to each version as it was before and as it is after, must find
the same, or the run fails.

After that everything is held against everything: log, documents, lake and every index version must hold the same
(`python -m include.quarry verify`), or the run fails and says what differs.

A query that nobody rated is forgotten after `QUARRY_QUERY_LOG_RETENTION_S`, a rated one after four times that.
"""

from dataclasses import asdict
from typing import Any

from airflow.sdk import chain, task
from quarry_dag import at, quarry_dag

from include.quarry.settings import load_settings

RUN = "{{ run_id | digest }}"

with quarry_dag(__file__, doc=__doc__, schedule=at("0 2 * * *"), tags=["maintenance"], params={}) as dag:

    @task
    def expire_versions() -> list[str]:
        """End the versions whose retention is over; returns their ids."""
        from include.quarry.routing.retention import expire_versions as expire  # noqa: PLC0415 heavy

        return expire(load_settings())

    @task
    def remember_searches(run: str) -> list[str]:
        """Hold fast what each version finds before it is touched; returns their ids."""
        from include.quarry.verification.searches import remember_searches as remember  # noqa: PLC0415 heavy

        return remember(run, load_settings())

    @task
    def renew_snapshots() -> list[dict[str, Any]]:
        """Renew the snapshots that are far behind the log, and remove the old ones; returns what was renewed."""
        from include.quarry.routing.renewal import renew_snapshots as renew  # noqa: PLC0415 heavy

        return renew(load_settings())

    @task
    def truncate_log() -> list[dict[str, Any]]:
        """Drop the changes that nobody has to apply any more; returns how many those were, by corpus."""
        from include.quarry.catalog.database import opened  # noqa: PLC0415 heavy
        from include.quarry.catalog.retention import truncate_log as truncate  # noqa: PLC0415 heavy

        settings = load_settings()
        with opened(settings.catalog_url) as database:
            return [asdict(done) for done in truncate(database, settings.log_retention_s)]

    @task
    def compact_lake() -> dict[str, Any]:
        """Remove vectors that no passage uses, and write fresh ones and small parts into full parts; returns counts."""
        from include.quarry.lake.upkeep import keep_lake  # noqa: PLC0415 heavy

        return keep_lake(load_settings())

    @task
    def compare_searches(run: str) -> list[str]:
        """Prove that each version finds what it found before; returns a line for each."""
        from include.quarry.verification.searches import compare_searches as compare  # noqa: PLC0415 heavy

        return compare(run, load_settings())

    @task
    def forget_queries() -> int:
        """Drop what was asked longer ago than its retention; returns how many queries that were."""
        from include.quarry.catalog.database import opened  # noqa: PLC0415 heavy
        from include.quarry.feedback.query_log import forget_queries as forget  # noqa: PLC0415 heavy

        settings = load_settings()
        with opened(settings.catalog_url) as database, database.write() as connection:
            return forget(connection, settings.query_log_retention_s)

    @task
    def verify_all() -> list[str]:
        """Prove that nothing was lost and nothing doubled; returns a line for each comparison."""
        from include.quarry.errors import IncompleteIndex  # noqa: PLC0415 heavy
        from include.quarry.verification.verify import verify  # noqa: PLC0415 heavy

        findings = verify(load_settings())
        if different := [line for finding in findings if not finding.equal for line in finding.lines]:
            raise IncompleteIndex("\n".join(different))
        return [line for finding in findings for line in finding.lines]

    remembered, kept = remember_searches(RUN), [renew_snapshots(), truncate_log(), compact_lake()]
    chain(expire_versions(), remembered, *kept, compare_searches(RUN), verify_all())
    forget_queries()
