"""Index versions loaded into this process, as a replica would hold them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion
from include.quarry.embedding.engine import LoadEmbedder
from include.quarry.embedding.micro_batch import MicroBatcher
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.retriever import Retriever, Serving
from include.quarry.retrieval.sharded import load_index
from include.quarry.routing.follower import Follower
from include.quarry.settings import Settings

_TRIES = 5


@dataclass(frozen=True, slots=True)
class OpenedVersion:
    """A retriever over one index version, and the state it holds."""

    retriever: Retriever
    version: IndexVersion
    watermark: int


@contextmanager
def open_versions(
    versions: Sequence[IndexVersion], settings: Settings, load: LoadEmbedder
) -> Iterator[list[OpenedVersion]]:
    """Load the versions and follow the log to its head, all to the same place if it rests for a moment.

    Versions of one vector space share an encoder, so that none is slower for it.
    """
    database = Database(settings.catalog_url)
    lake = VectorLake(database, settings.lake_uri)
    encoder_of = cache(lambda spec: MicroBatcher(load(spec)))
    with ExitStack() as stack:
        stack.callback(database.close)
        indexes = [
            load_index(
                Path(version.snapshot),
                Path(stack.enter_context(tempfile.TemporaryDirectory())),
                servers=settings.store_servers,
            )
            for version in versions
        ]
        followers = [
            Follower(database, lake, index, version.corpus) for index, version in zip(indexes, versions, strict=True)
        ]
        for _ in range(_TRIES):
            for follower in followers:
                follower.step()
            if len({index.watermark for index in indexes}) == 1:
                break
        retrievers = [Retriever(Serving(encoder_of(index.spec.embedding), index)) for index in indexes]
        for retriever in retrievers:
            stack.callback(retriever.close)
        yield [
            OpenedVersion(retriever, version, retriever.index.watermark)
            for retriever, version in zip(retrievers, versions, strict=True)
        ]
