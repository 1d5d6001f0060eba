"""Bulk embedding in units: a unit of texts is claimed, embedded and written as one Parquet part, or not at all.

Workers may die at any moment and units may be handed out again: a claim keeps two workers off the same text, and a
part that a dead worker wrote is adopted instead of embedded again. A worker that was taken for dead while it was
inside its engine finds its claims gone and keeps nothing.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from include.quarry.catalog.database import Database
from include.quarry.embedding.protocol import Embedder
from include.quarry.lake.claims import claim, holds
from include.quarry.lake.parts import part_name
from include.quarry.lake.pending import PendingText
from include.quarry.lake.vectors import VectorLake

logger = logging.getLogger(__name__)
_LEASE_S = 600.0


@dataclass(frozen=True, slots=True)
class Unit:
    """Texts that are embedded together. `unit_id` is a hash of the texts' hashes."""

    unit_id: str
    hashes: list[str]
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a unit: which of its texts were embedded and kept here, and how long the engine took.

    `found` are texts that were in the lake by then: a worker that died may have kept them without being able to say so.
    `discarded` counts texts that were embedded in vain, since another worker had taken over their claims.
    """

    unit_id: str
    texts: int
    kept: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    discarded: int = 0
    engine_s: float = 0.0

    @property
    def embedded(self) -> int:
        """How many texts were embedded and kept."""
        return len(self.kept)


def plan_units(texts: Sequence[PendingText], unit_size: int) -> Iterator[Unit]:
    """Cut the texts into units of like length, longest first, so that batches are not padded in vain."""
    by_length = sorted(texts, key=lambda text: (-text.tokens, text.text_hash))
    for start in range(0, len(by_length), unit_size):
        members = by_length[start : start + unit_size]
        hashes = [text.text_hash for text in members]
        yield Unit(part_name(hashes), hashes, [text.text for text in members])


def embed_unit(unit: Unit, database: Database, lake: VectorLake, embedder: Embedder, owner: str) -> Receipt:
    """Bring every text of the unit into the lake, except those that another owner is embedding right now."""
    fingerprint = embedder.spec.fingerprint
    mine = claim(database, fingerprint, unit.hashes, owner, _LEASE_S)
    part = part_name(mine)
    if mine and lake.adopt_part(fingerprint, part) is not None:
        mine = []
    left = lake.missing(fingerprint, unit.hashes) if len(mine) < len(unit.hashes) else mine
    receipt = Receipt(unit.unit_id, len(unit.texts), found=tuple(set(unit.hashes) - set(left)))
    if not mine:
        return receipt
    text_of = dict(zip(unit.hashes, unit.texts, strict=True))
    started = time.perf_counter()
    vectors = embedder.encode([text_of[text_hash] for text_hash in mine])
    engine_s = time.perf_counter() - started
    if not holds(database, fingerprint, mine, owner):
        logger.warning("another worker has taken over unit %s: its vectors made here are discarded", unit.unit_id)
        return replace(receipt, discarded=len(mine), engine_s=engine_s)
    lake.put_part(part, mine, vectors)
    return replace(receipt, kept=tuple(mine), engine_s=engine_s)
