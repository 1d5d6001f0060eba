"""Renewing the snapshots of the versions that replicas hold, so that one that starts has little of the log to replay.

A new snapshot is written beside the old one and proven equal to what wrote it: the same contents, the same hits. Then
one row changes. Replicas that have the old one open keep it, and go on following the log; the old folder goes when none
can still be opening it. Killed at any moment, this leaves the old snapshot in its place, and goes on when run again.

Vectors on a server are not in a snapshot, and stay where they are. What is renewed for such a version are its words,
its passages, and the note of how far the server's rows had come.
"""

import logging
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from include.quarry.catalog.database import opened
from include.quarry.catalog.routes import list_routes
from include.quarry.catalog.updates import Takes
from include.quarry.catalog.versions import IndexVersion, find_version, list_versions, replace_snapshot
from include.quarry.errors import IncompleteIndex, QuarryError
from include.quarry.lake.vectors import VectorLake
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import being_built, home_of
from include.quarry.routing.follower import Follower
from include.quarry.routing.sharding import assemble, build_shard, finished_shards
from include.quarry.routing.status import lag_of
from include.quarry.settings import Settings
from include.quarry.stores.servers import StoreServers
from include.quarry.stores.snapshot import publish
from include.quarry.verification.probes import ALIKE, answers, choose_probes, is_exact, likeness

logger = logging.getLogger(__name__)
_GRACE_S = 3600.0


def renew_snapshots(settings: Settings) -> list[dict[str, Any]]:
    """Renew the snapshot of every version on a route, or retained, that is `snapshot_tail_changes` or more behind the
    log, and remove the folders that nobody can be opening any more; gives what was renewed.

    One version that cannot be renewed keeps no other from it; then its error is raised at the end.
    """
    renewed: list[dict[str, Any]] = []
    failed: list[Exception] = []
    for version in _due(settings):
        try:
            if (renewal := renew_snapshot(version.version_id, settings)) is not None:
                renewed.append(renewal)
        except (QuarryError, OSError) as error:
            logger.exception("the snapshot of index version %s could not be renewed", version.version_id)
            failed.append(error)
    _sweep(settings)
    if failed:
        raise failed[0]
    return renewed


def renew_snapshot(version_id: str, settings: Settings) -> dict[str, Any] | None:
    """Renew one version's snapshot, as far as the log can be followed now; None where there is nothing new, or the
    version has been ended or built again meanwhile. Raises `IncompleteIndex` when the new one is not equal."""
    home, servers = home_of(version_id, settings), settings.store_servers
    with opened(settings.catalog_url) as database, being_built(home):
        with database.read() as connection:
            version = find_version(connection, version_id)
        if not version.snapshot:
            return None
        lake = VectorLake(database, settings.lake_uri)

        def caught_up(index: Index, takes: Takes) -> Follower:
            follower = Follower(database, lake, index, version.corpus, takes=takes)
            follower.step()  # what waits for vectors is left to those who load the snapshot
            return follower

        save, done = partial(_save_proven, lake=lake, servers=servers), finished_shards(version, home)
        for number in range(version.spec.shards.count):
            if number not in done:
                build_shard(version, number, home, servers, caught_up, save=save)
        folder, watermark, chunks = assemble(version, home)
        if str(folder) == version.snapshot:
            return None
        with database.write() as connection:
            if not replace_snapshot(connection, version, str(folder), watermark, chunks):
                return None
    return {"version": version_id, "watermark": watermark, "chunks": chunks, "watermark_before": version.watermark}


def _due(settings: Settings) -> list[IndexVersion]:
    with opened(settings.catalog_url) as database:
        with database.read() as connection:
            on_routes = {each for route in list_routes(connection).values() for each in route.followed}
            versions = list_versions(connection)
        return [
            version
            for version in versions
            if version.snapshot
            and (version.version_id in on_routes or version.state == "retired")
            and lag_of(database, version.corpus, version.watermark).changes >= settings.snapshot_tail_changes
        ]


def _save_proven(index: Index, folder: Path, *, lake: VectorLake, servers: StoreServers) -> None:
    """Write the index, read it back, and give it its name only if both hold and find the same."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    index.save(draft)
    with tempfile.TemporaryDirectory() as scratch:
        _prove(index, Index.load(draft, Path(scratch), servers=servers), lake)
    publish(draft, folder)


def _prove(held: Index, read_back: Index, lake: VectorLake) -> None:
    contents = list(held.contents())
    expected, found = digest(contents), digest(read_back.contents())
    if expected != found:
        raise IncompleteIndex(
            f"the new snapshot of index version {held.version} holds other chunks than the index that wrote it "
            f"({found} and {expected}); the old one stays"
        )
    if (probes := choose_probes(held, lake)) is None:
        return
    alike = likeness(answers(held, probes), answers(read_back, probes))
    least = 1.0 if is_exact(held.spec.store, len(contents)) else ALIKE
    if alike < least:
        raise IncompleteIndex(
            f"the new snapshot of index version {held.version} finds {alike:.3f} of what the index that wrote it "
            f"finds, in the same places; {least:g} is due; the old one stays"
        )


def _sweep(settings: Settings) -> None:
    """Remove the snapshots that are in nobody's way any more. Whoever read the row before it changed began to open the
    old folder then; after an hour he has it open, or has failed and reads the row again."""
    with opened(settings.catalog_url) as database, database.read() as connection:
        present = {
            version.version_id: Path(version.snapshot) for version in list_versions(connection) if version.snapshot
        }
    until = time.time() - _GRACE_S
    for version_id, snapshot in present.items():
        if not snapshot.exists() or snapshot.stat().st_mtime > until:
            continue
        with being_built(home_of(version_id, settings)):
            for folder in _snapshots(home_of(version_id, settings)):
                if folder != snapshot and folder.stat().st_mtime <= until:
                    shutil.rmtree(folder)


def _snapshots(home: Path) -> list[Path]:
    """Finished ones, and what writers that died have left."""
    return [folder for pattern in ("snapshot-*", ".snapshot-*", "..snapshot-*") for folder in home.glob(pattern)]
