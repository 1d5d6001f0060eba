"""What a relevance metric cannot see: whether a candidate holds what the log says, and in the right vector space."""

from collections.abc import Callable, Mapping
from pathlib import Path

from evaluation.gate import Ground, Reason
from evaluation.policy import GatePolicy
from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.versions import IndexVersion
from include.quarry.embedding.engine import LoadEmbedder
from include.quarry.errors import IncompleteIndex
from include.quarry.routing.audit import (
    audit_passages,
    audit_vectors,
    load_passages,
    load_stores,
    present,
    sample_chunks,
)
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings

_LOOKS = 2
Fact = str | int | float
Facts = dict[str, Fact]


def inspect(
    version: IndexVersion, settings: Settings, policy: GatePolicy, load: LoadEmbedder, *, patience_s: float
) -> tuple[list[Reason], Facts]:
    """The first fault of a version, if it has one, and what was proven until then.

    In this order, since each step leans on the one before: it holds every chunk that the log says and no other; its
    passages say what the log says; its vectors are those of its passages.
    """
    facts: Facts = {}
    steps: tuple[tuple[Ground, Callable[[], Mapping[str, Fact]]], ...] = (
        ("completeness", lambda: check_completeness(version.version_id, settings, patience_s=patience_s)),
        ("passages", lambda: _audit_passages(version, settings)),
        ("vectors", lambda: _audit_vectors(version, settings, policy, load)),
    )
    for ground, prove in steps:
        try:
            facts |= {f"{ground}.{name}": value for name, value in prove().items()}
        except IncompleteIndex as error:
            return [Reason(ground, str(error))], facts
    return [], facts


def _audit_passages(version: IndexVersion, settings: Settings) -> Facts:
    database = Database(settings.catalog_url)
    with database.read() as connection:
        compared = audit_passages(connection, load_passages(Path(version.snapshot)))
    database.close()
    return {"compared": compared}


def _audit_vectors(version: IndexVersion, settings: Settings, policy: GatePolicy, load: LoadEmbedder) -> Facts:
    """A store on a server goes on changing with the log, and the snapshot does not: chunks that the log has dropped
    since are left out, and what is not found is looked for once more."""
    snapshot = Path(version.snapshot)
    sample = sample_chunks(load_passages(snapshot), policy.audited_chunks, seed=version.version_id)
    stores = load_stores(snapshot, version.spec.store.adapter, settings.store_servers)
    embedder, cosines, left = load(version.spec.embedding), dict[str, float](), sample
    for _ in range(_LOOKS):
        cosines |= audit_vectors(stores, left, embedder).cosines if left else {}
        with opened(settings.catalog_url) as database, database.read() as connection:
            there = present(connection, [chunk.chunk_id for chunk in left])
        left = [chunk for chunk in left if chunk.chunk_id in there and cosines[chunk.chunk_id] < policy.min_cosine]
    foreign = sorted(chunk.chunk_id for chunk in left)
    lowest = min((cosine for cosine in cosines.values() if cosine >= policy.min_cosine), default=1.0)
    lowest = min([lowest, *(cosines[chunk_id] for chunk_id in foreign)])
    if foreign:
        raise IncompleteIndex(
            f"{len(foreign)} of {len(sample)} sampled vectors are not those of their passages {foreign[:3]}: the "
            f"lowest cosine to the text encoded again is {lowest:.3f}, {policy.min_cosine:g} is needed; embed "
            f"in space {version.spec.embedding.fingerprint} and build a new version"
        )
    return {"sampled": len(sample), "lowest_cosine": round(lowest, 5)}
