"""The indexing deployment: accepts documents and streams, embeds the fresh tail of the log, and texts of callers."""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

from ray import serve

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted
from include.quarry.embedding.engine import embedders
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.uploads import Uploads
from include.quarry.gateway.visit import Visit
from include.quarry.lake.fresh import FreshTail
from include.quarry.lake.vectors import VectorLake
from include.quarry.lake.work import Work
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.routing.live_embedding import Embedded, LiveEmbedding
from include.quarry.settings import Settings
from ray_apps.indexing.quarantine_metrics import QuarantineMetrics
from ray_apps.indexing.streams import StreamReader
from ray_apps.indexing.work_metrics import WorkMetrics
from ray_apps.jobs.background import give_way

_LOOK_EVERY_S = 1.0  # for what another replica accepted and does not get to
_AT_ONCE = 2  # the engine works for one while the other asks the catalog


@serve.deployment(name="Indexing")
class IndexingDeployment:
    """`put`, `get`, `delete` and `embed` over a handle."""

    def __init__(self, settings: Settings) -> None:
        database = Database(settings.catalog_url)
        work = Work()
        owner = f"{socket.gethostname()}:{os.getpid()}"
        lake = VectorLake(database, settings.lake_uri)
        embedder_of = embedders(settings)
        self._live = LiveEmbedding(database, embedder_of)
        specs = load_feed_specs(Path(settings.feeds)) if settings.feeds else ()
        tails = [
            FreshTail(
                database,
                lake,
                embedder_of,
                f"{owner}:{number}",
                bulk_grace_s=settings.bulk_grace_s,
                work=work,
                streams=[spec.feed for spec in specs],
            )
            for number in range(_AT_ONCE)
        ]
        self._fresh = [_embedding(tail, f"fresh-tail-{number}") for number, tail in enumerate(tails)]

        def wake() -> None:
            for tail in tails:
                tail.wake()

        ingestor = Ingestor(database, make_chunker, settings.max_document_bytes, work, accepted=wake)
        self._uploads = Uploads(database, ingestor)
        self._work = WorkMetrics(database, work)
        self._aside = QuarantineMetrics(database)
        self._streams = [StreamReader(spec, ingestor, database) for spec in specs]

    async def check_health(self) -> None:
        """Asked by Serve; a replica that no longer embeds is replaced."""
        if not all(thread.is_alive() for thread in self._fresh):
            raise RuntimeError("a thread of the fresh tail has ended")
        if not self._work.is_alive():
            raise RuntimeError("the thread that tells what was indexed has ended")
        if not self._aside.is_alive():
            raise RuntimeError("the thread that tells what is in quarantine has ended")
        if not all(stream.is_alive() for stream in self._streams):
            raise RuntimeError("a stream's thread has ended")

    async def put(self, raw: RawDocument) -> Accepted:
        """Accept an upsert; raises `InvalidInput`."""
        return await self._uploads.put(raw)

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        """The fields of the present document, or None."""
        return await self._uploads.get(key)

    async def delete(self, key: DocumentKey) -> Accepted | None:
        """Accept a delete; None when there was never such a document."""
        return await self._uploads.delete(key)

    async def embed(self, corpus: str, model: str, texts: list[str], visit: Visit) -> Embedded:
        """Vectors as the live version of the corpus has them; raises `NotFound` and `InvalidInput`."""
        async with visit.deadline.holds():
            return await asyncio.to_thread(self._live.embed, corpus, model, texts)


def _embedding(tail: FreshTail, name: str) -> threading.Thread:
    def keep() -> None:
        give_way()
        tail.run(_LOOK_EVERY_S)

    thread = threading.Thread(target=keep, name=name, daemon=True)
    thread.start()
    return thread
