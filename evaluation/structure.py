"""What a relevance metric cannot see: whether a candidate holds what the log says, and in the right vector space."""

from collections.abc import Callable, Mapping
from pathlib import Path

from evaluation.gate import Ground, Reason
from evaluation.policy import GatePolicy
from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion
from include.quarry.embedding.engine import LoadEmbedder
from include.quarry.errors import IncompleteIndex
from include.quarry.routing.audit import audit_passages, audit_vectors, load_passages, load_stores, sample_chunks
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from include.quarry.stores.servers import StoreServers

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
        ("vectors", lambda: _audit_vectors(version, settings.store_servers, policy, load)),
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


def _audit_vectors(version: IndexVersion, servers: StoreServers, policy: GatePolicy, load: LoadEmbedder) -> Facts:
    snapshot = Path(version.snapshot)
    sample = sample_chunks(load_passages(snapshot), policy.audited_chunks, seed=version.version_id)
    stores = load_stores(snapshot, version.spec.store.adapter, servers)
    audit = audit_vectors(stores, sample, load(version.spec.embedding))
    foreign = sorted(chunk_id for chunk_id, cosine in audit.cosines.items() if cosine < policy.min_cosine)
    if foreign:
        raise IncompleteIndex(
            f"{len(foreign)} of {len(sample)} sampled vectors are not those of their passages {foreign[:3]}: the "
            f"lowest cosine to the text encoded again is {audit.lowest:.3f}, {policy.min_cosine:g} is needed; embed "
            f"in space {version.spec.embedding.fingerprint} and build a new version"
        )
    return {"sampled": len(sample), "lowest_cosine": round(audit.lowest, 5)}
