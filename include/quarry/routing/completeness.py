"""The completeness proof: an index version holds exactly what the log says it must hold, or it is not promoted."""

import tempfile
import time
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.updates import Follow, expected_contents
from include.quarry.catalog.versions import find_version
from include.quarry.errors import Conflict, IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import PATIENCE_S, Follower
from include.quarry.settings import Settings

_EXAMPLES = 3


def check_completeness(version_id: str, settings: Settings, *, patience_s: float = PATIENCE_S) -> dict[str, str | int]:
    """Load a version's snapshot as a replica would, follow the log to its head, and compare with the log.

    Raises `IncompleteIndex` naming what is missing and what is there in excess. Deletes made while the version was
    being built count like everything else. Gives the proof: watermark, number of chunks and the digest of both sides.
    """
    database = Database(settings.catalog_url)
    with database.read() as connection:
        version = find_version(connection, version_id)
    if not version.snapshot:
        raise Conflict(f"index version {version_id!r} is {version.state} and has no snapshot; build it first")
    follow = Follow(version.corpus, version.spec.chunker.fingerprint, version.spec.embedding.fingerprint)
    with tempfile.TemporaryDirectory() as scratch:
        index = Index.load(Path(version.snapshot), Path(scratch))
        follower = Follower(database, VectorLake(database, settings.lake_uri), index, version.corpus)
        deadline = time.monotonic() + patience_s
        while True:
            follower.catch_up(patience_s)  # nearly all of the way, while the corpus goes on changing
            with database.read() as snapshot:
                with database.write():  # the rest is little, and nothing changes meanwhile
                    waiting = follower.step()
                    head(snapshot, version.corpus)  # the snapshot begins with its first query
                if waiting == 0:
                    expected = expected_contents(snapshot, follow)
                    break
            if time.monotonic() > deadline:
                raise IncompleteIndex(
                    f"index version {version_id!r} cannot reach the head of the log: {waiting} documents wait for "
                    "vectors; run backfill_embeddings, then check again"
                )
        held = list(index.contents())
    _compare(version_id, set(expected), set(held))
    database.close()
    return {
        "version": version_id,
        "watermark": index.watermark,
        "chunks": len(held),
        "digest": digest(held),
        "log_digest": digest(expected),
    }


def _compare(version_id: str, expected: set[tuple[str, int]], held: set[tuple[str, int]]) -> None:
    if expected != held:
        missing, excess = sorted(expected - held), sorted(held - expected)
        raise IncompleteIndex(
            f"index version {version_id!r} differs from the log: {len(missing)} chunks missing {missing[:_EXAMPLES]}, "
            f"{len(excess)} in excess {excess[:_EXAMPLES]}; it is not promoted; build a new version"
        )
