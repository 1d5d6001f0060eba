"""A review of what people think of a corpus: read, clustered, written down, and kept in MLflow."""

from datetime import datetime
from pathlib import Path

from evaluation.feedback_report import Review, write_review
from evaluation.tracking import connect, log_review
from include.quarry.catalog.database import Database
from include.quarry.catalog.ratings import RatedQuery, passage_texts, rated_queries
from include.quarry.catalog.routes import live_spec
from include.quarry.embedding.engine import embedders
from include.quarry.errors import InvalidInput
from include.quarry.feedback.clusters import cluster_queries
from include.quarry.settings import Settings

MOST_QUERIES = 5000
"""Clustering takes memory with the square of their number; the newest are read."""


def review_feedback(
    corpus: str, since: datetime, until: datetime, settings: Settings, track: str | None
) -> tuple[Path, Review, str | None]:
    """Write the review of the queries asked in `[since, until)`; gives its page, what it found, and MLflow's run id.

    `track` is MLflow's address, or None to keep nothing there. Raises `InvalidInput` for times in the wrong order.
    """
    if since >= until:
        raise InvalidInput(f"the review would begin at {since} and end at {until}; it must end after it begins")
    client = connect(track) if track is not None else None
    review = _review(corpus, since, until, settings)
    folder = settings.home.absolute() / "feedback" / corpus / f"{since:%Y%m%dT%H%M%S}-{until:%Y%m%dT%H%M%S}"
    paths = write_review(folder, review)
    run_id = None if client is None else log_review(client, review, paths)
    return paths[0], review, run_id


def _review(corpus: str, since: datetime, until: datetime, settings: Settings) -> Review:
    database = Database(settings.catalog_url)
    with database.read() as connection:
        rated = rated_queries(connection, corpus, since, until)[-MOST_QUERIES:]
        spec = live_spec(connection, corpus) or settings.index_spec()
    clusters = []
    if any(query.is_low for query in rated):
        embedder = embedders(settings)(spec.embedding)
        clusters = cluster_queries(rated, embedder.encode([query.text for query in rated]).values)
    low = [query for cluster in clusters for query in cluster.queries]
    with database.read() as connection:
        texts = passage_texts(connection, _shown(low))
    database.close()
    return Review(corpus, since, until, len(rated), len(low), clusters, texts)


def _shown(queries: list[RatedQuery]) -> list[str]:
    return sorted({passage.chunk_id for query in queries for passage in query.shown})
