"""The completeness proof: an index version holds exactly what the log says it must hold, or it is not promoted."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.updates import Follow, expected_contents, waiting_documents
from include.quarry.catalog.versions import IndexVersion, find_version
from include.quarry.errors import Conflict, IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.sharded import ShardedIndex, load_index
from include.quarry.routing.differences import describe
from include.quarry.routing.follower import PATIENCE_S, Follower
from include.quarry.routing.status import lag_of
from include.quarry.settings import Settings

_LOOKS = 3


class _Compared(NamedTuple):
    """(chunk_id, doc_version) of both sides, and how many documents wait for vectors."""

    held: set[tuple[str, int]]
    expected: set[tuple[str, int]]
    waiting: int


def check_completeness(version_id: str, settings: Settings, *, patience_s: float = PATIENCE_S) -> dict[str, str | int]:
    """Load a version's snapshot as a replica would, follow the log to its head, and compare with the log.

    Raises `IncompleteIndex` naming what is missing and what is there in excess. Deletes made while the version was
    being built count like everything else. Only documents that were changed after this call, and wait for their
    vectors now, are left out, and counted as `waiting`. Gives the proof: watermark, chunks, digest of both sides.

    A store that replicas share goes on with the log while its contents are read, and then holds more than was to be
    compared. So what differs there is compared anew, at last with everybody waiting who would change the log.
    """
    with opened(settings.catalog_url) as database, tempfile.TemporaryDirectory() as scratch:
        with database.read() as connection:
            version = find_version(connection, version_id)
        if not version.snapshot:
            raise Conflict(f"index version {version_id!r} is {version.state} and has no snapshot; build it first")
        index = load_index(Path(version.snapshot), Path(scratch), servers=settings.store_servers)
        follower = Follower(database, VectorLake(database, settings.lake_uri), index, version.corpus)
        if waiting := follower.catch_up(patience_s):
            behind = lag_of(database, version.corpus, index.watermark).changes
            raise IncompleteIndex(
                f"index version {version_id!r} stands at watermark {index.watermark}, {behind} changes behind the head "
                f"of the log, and cannot follow: {waiting} documents wait for vectors; run backfill_embeddings, then "
                "check again"
            )
        for look in range(1, _LOOKS + 1):
            try:
                compared = _compare(version, database, follower, index, alone=look == _LOOKS)
                break
            except IncompleteIndex:
                if not index.waits or look == _LOOKS:
                    raise
    return {
        "version": version_id,
        "watermark": index.watermark,
        "chunks": len(compared.held),
        "waiting": compared.waiting,
        "digest": digest(compared.held),
        "log_digest": digest(compared.expected),
    }


def _compare(
    version: IndexVersion, database: Database, follower: Follower, index: Index | ShardedIndex, *, alone: bool
) -> _Compared:
    """Both sides, which are equal. With `alone` nothing is accepted into the log until both are read."""
    follow = Follow(version.corpus, version.spec.chunker.fingerprint, version.spec.embedding.fingerprint)
    with database.read() as snapshot, ExitStack() as others_wait:
        others_wait.enter_context(database.write())
        follower.step()  # the rest is little, and nothing changes meanwhile
        on_their_way = waiting_documents(snapshot, follow)  # the snapshot begins with its first query
        if not alone:
            others_wait.close()
        expected = set(expected_contents(snapshot, follow))
        held = follower.settled(lambda: set(index.contents()))
        excess = index.chunks([chunk_id for chunk_id, _ in held - expected])
        held -= {(chunk.chunk_id, chunk.doc_version) for chunk in excess if chunk.key in on_their_way}
        if held != expected:
            missing = sorted(chunk_id for chunk_id, _ in expected - held)
            excess = [chunk for chunk in excess if chunk.key not in on_their_way]
            raise IncompleteIndex(
                f"index version {version.version_id!r} at watermark {index.watermark} differs from the log: "
                f"{describe(snapshot, version.corpus, missing, excess)}; it is not promoted; build a new version"
            )
    return _Compared(held, expected, len(on_their_way))
