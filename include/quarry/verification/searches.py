"""The proof that maintenance changes no search: each index version finds the same before and after.

Before, the snapshot of each version is held fast, by links to its files, and probes are drawn from what it holds.
After, the version as it was then and as it is now follow the same log to the same change, with vectors from wherever
those lie now; then both must hold the same passages and give the same answers, chunk by chunk and score by score. So
what is accepted meanwhile is in both, and nothing that maintenance did to snapshots, log or lake can hide.

Two things are not exact, and there 95 % of the places must agree: graphs that were built apart, and words where
documents were replaced since the old snapshot, because BM25 counts a replaced document until its segment is merged.
"""

import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.schema import documents
from include.quarry.catalog.versions import IndexVersion, list_versions
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.sharded import ShardedIndex, load_index
from include.quarry.routing.follower import PATIENCE_S, Follower
from include.quarry.settings import Settings
from include.quarry.verification.probes import ALIKE, Probes, answers, choose_probes, is_exact, likeness

_LOOK_AGAIN_S = 0.5
_KEPT_S = 172_800.0
_SNAPSHOT, _VECTORS, _FACTS = "snapshot", "vectors.npy", "probes.json"


def remember_searches(run: str, settings: Settings) -> list[str]:
    """Hold fast every version that has a snapshot, with its probes; gives their ids. What the same run remembered
    before stays: it is still what there was before."""
    home = _home(settings)
    _forget_abandoned(home)
    remembered = []
    with opened(settings.catalog_url) as database:
        lake = VectorLake(database, settings.lake_uri)
        for version in _versions(database):
            if (home / run / version.version_id).exists() or _remember(version, home / run, database, lake, settings):
                remembered.append(version.version_id)
    return remembered


def compare_searches(run: str, settings: Settings, *, patience_s: float = PATIENCE_S) -> list[str]:
    """Ask each remembered version again, as it was and as it is now; gives a line for each. Raises `IncompleteIndex`
    when one finds something else, or documents wait for their vectors beyond `patience_s`. One that has been ended
    meanwhile is left out. When all is equal, what was remembered is forgotten."""
    lines, folder = [], _home(settings) / run
    with opened(settings.catalog_url) as database:
        for version in _versions(database):
            if (before := folder / version.version_id).exists():
                lines.append(_compared(version, before, database, settings, patience_s))
    shutil.rmtree(folder, ignore_errors=True)
    return lines


def _remember(version: IndexVersion, folder: Path, database: Database, lake: VectorLake, settings: Settings) -> bool:
    """False where the version holds nothing to ask for."""
    draft = folder / f".{version.version_id}.writing"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(version.snapshot, draft / _SNAPSHOT, copy_function=_link)
    with tempfile.TemporaryDirectory() as scratch:
        index = load_index(draft / _SNAPSHOT, Path(scratch), servers=settings.store_servers)
        follower = Follower(database, lake, index, version.corpus)
        follower.step()
        probes = follower.settled(lambda: choose_probes(index, lake))
    if probes is None:
        shutil.rmtree(draft)
        return False
    np.save(draft / _VECTORS, probes.vectors.values)
    facts = {"watermark": version.watermark, "tenants": probes.tenants, "queries": probes.queries}
    (draft / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    draft.rename(folder / version.version_id)
    return True


def _compared(version: IndexVersion, before: Path, database: Database, settings: Settings, patience_s: float) -> str:
    facts = json.loads((before / _FACTS).read_text(encoding="utf-8"))
    vectors = Vectors(version.spec.embedding.fingerprint, np.load(before / _VECTORS))
    probes = Probes(tuple(facts["tenants"]), tuple(facts["queries"]), vectors)
    with tempfile.TemporaryDirectory() as scratch:
        pair = [
            _Followed(version, snapshot, Path(scratch) / name, database, settings)
            for name, snapshot in (("before", before / _SNAPSHOT), ("after", Path(version.snapshot)))
        ]
        for each in pair:
            if waiting := each.follower.catch_up(patience_s):
                raise IncompleteIndex(
                    f"index version {version.version_id}: {waiting} documents wait for vectors, so that searches "
                    "cannot be compared; run backfill_embeddings"
                )
        deadline = time.monotonic() + patience_s
        while difference := _difference(version, facts["watermark"], probes, pair, database):
            if time.monotonic() >= deadline:
                raise IncompleteIndex(f"index version {version.version_id} does not find what it found: {difference}")
            threading.Event().wait(_LOOK_AGAIN_S)
        return f"equal: {len(probes.queries)} searches of {version.version_id} at {pair[1].index.watermark}"


class _Followed:
    """A version as one snapshot has it, at the head of the log."""

    def __init__(
        self, version: IndexVersion, snapshot: Path, scratch: Path, database: Database, settings: Settings
    ) -> None:
        scratch.mkdir()
        self.index: Index | ShardedIndex = load_index(snapshot, scratch, servers=settings.store_servers)
        self.follower = Follower(database, VectorLake(database, settings.lake_uri), self.index, version.corpus)


def _difference(
    version: IndexVersion, watermark: int, probes: Probes, pair: list[_Followed], database: Database
) -> str:
    """What differs, in words, once both have applied the very same changes; empty where nothing does."""
    with database.read() as connection:
        steps = [each.follower.look(connection) for each in pair]
        replaced = connection.scalar(_replaced(version.corpus, watermark)) is not None
    for step in steps:
        step()
    held = [each.follower.settled(lambda index=each.index: list(index.contents())) for each in pair]  # type: ignore[misc]
    if digest(held[0]) != digest(held[1]):
        return f"it holds {len(held[1])} passages and not the {len(held[0])} that it held"
    ours, theirs = (answers(each.index, probes) for each in pair)
    if is_exact(version.spec.store, len(held[0])) and not replaced:
        wrong = [query for query, one, other in zip(probes.queries, ours, theirs, strict=True) if one != other]
        return f"{len(wrong)} of {len(probes.queries)} probes have other hits or scores" if wrong else ""
    alike = likeness(ours, theirs)
    return "" if alike >= ALIKE else f"{alike:.3f} of the places agree, {ALIKE:g} is due"


def _replaced(corpus: str, watermark: int) -> sa.Select[Any]:
    """A document that had been there before its change after a watermark."""
    d = documents.c
    return sa.select(d.seq).where(d.corpus == corpus, d.seq > watermark, d.version > 1).limit(1)


def _versions(database: Database) -> list[IndexVersion]:
    with database.read() as connection:
        return [version for version in list_versions(connection) if version.snapshot and version.in_use]


def _home(settings: Settings) -> Path:
    return settings.home.absolute() / "maintenance"


def _forget_abandoned(home: Path) -> None:
    """What runs have left that nobody went on with."""
    for folder in home.glob("*"):
        if folder.stat().st_mtime < time.time() - _KEPT_S:
            shutil.rmtree(folder, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """Snapshots are never written to: a second name is enough."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
