"""Index versions loaded into this process, as a replica would hold them.

What lies in this process alone stays as it is while it is asked. A store on a server does not: replicas write to it
what they follow of the log, and a version that stood still beside it would miss every document that changes. So
together with one of those, all follow the log while they are asked.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event

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
_FOLLOW_EVERY_S = 0.25  # as replicas do


@dataclass(frozen=True, slots=True)
class OpenedVersion:
    """A retriever over one index version."""

    retriever: Retriever
    version: IndexVersion


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
        if any(index.waits for index in indexes):
            slow_first = sorted(range(len(indexes)), key=lambda number: not indexes[number].waits)
            stack.enter_context(_followed(database, [followers[number] for number in slow_first]))
        yield [OpenedVersion(retriever, version) for retriever, version in zip(retrievers, versions, strict=True)]


@contextmanager
def _followed(database: Database, followers: Sequence[Follower]) -> Iterator[None]:
    """All go the same steps, again and again, on a thread of its own, the slow ones first, so that the others are not
    long at another place than they. Raises at the end what one of them raised."""
    over = Event()

    def follow() -> None:
        while not over.wait(_FOLLOW_EVERY_S):
            with database.read() as connection:
                steps = [follower.look(connection) for follower in followers]
            for step in steps:
                step()

    with ThreadPoolExecutor(1, thread_name_prefix="follow") as thread:
        following = thread.submit(follow)
        try:
            yield
        finally:
            over.set()
        following.result()
