"""How far what is searchable lags behind what there is, in seconds: of each corpus, each stream, and each topic."""

from pathlib import Path
from typing import Any

import httpx

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.offsets import load_offsets
from include.quarry.catalog.routes import list_routes
from include.quarry.errors import Unavailable
from include.quarry.feeds.feed_specs import KafkaSpec, load_feed_specs
from include.quarry.gateway.composition import bearer, own_token
from include.quarry.settings import Settings

_PATIENCE_S = 30.0


def lags(settings: Settings) -> dict[str, float]:
    """What -> seconds. The first two are what `/v1/status` says of the version that answers; a topic's is the age of
    its oldest message that no replica has read. Corpora that nothing answers for yet have none. Raises `Unavailable`
    and `Misconfigured` where it cannot be told."""
    with opened(settings.catalog_url) as database:
        with database.read() as connection:
            corpora = sorted(list_routes(connection))
        found = _searchable(corpora, settings)
        for spec in load_feed_specs(Path(settings.feeds)) if settings.feeds else ():
            if isinstance(spec, KafkaSpec):
                found[f"topic {spec.topic}"] = _unread(spec, database)
    return found


def _searchable(corpora: list[str], settings: Settings) -> dict[str, float]:
    if not corpora:
        return {}
    found, shown = {}, bearer(own_token(settings, "default", "retrieve"))
    with httpx.Client(base_url=settings.http_url, headers=shown, timeout=_PATIENCE_S, trust_env=False) as client:
        for corpus in corpora:
            status = _status(client, corpus)
            found[f"corpus {corpus}"] = float(status["lag_seconds"])
            for feed in status["feeds"]:
                found[f"stream {feed['feed']} in corpus {corpus}"] = float(feed["lag_seconds"])
    return found


def _status(client: httpx.Client, corpus: str) -> dict[str, Any]:
    try:
        status: dict[str, Any] = client.get("/v1/status", params={"corpus": corpus}).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"the HTTP API does not say how fresh corpus {corpus!r} is: {error}") from error
    return status


def _unread(spec: KafkaSpec, database: Database) -> float:
    from include.quarry.feeds.unread import oldest_unread_s  # noqa: PLC0415 its client is not needed without a topic

    with database.read() as connection:
        offsets = load_offsets(connection, spec.feed)
    return oldest_unread_s(spec, offsets)
