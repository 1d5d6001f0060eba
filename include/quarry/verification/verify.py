"""The proof that nothing was lost and nothing doubled: source, log, documents, lake and indexes hold the same."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import sqlalchemy as sa

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.updates import Follow
from include.quarry.catalog.versions import IndexVersion, list_versions
from include.quarry.errors import QuarryError
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey
from include.quarry.routing.audit import audit_passages, load_passages
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from include.quarry.verification.buckets import Compared, Difference, compare
from include.quarry.verification.catalog_sides import (
    corpora_of,
    documents_and_lake,
    explanations,
    log_and_documents,
    of_feed,
)
from include.quarry.verification.sources import Source
from include.quarry.verification.vectors import compare_vectors

_LOOK_AGAIN_S = 0.5
_SHOWN = 10
Look = Callable[[sa.Connection], Compared]


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison in words, and whether the two sides are equal."""

    equal: bool
    lines: tuple[str, ...]


def verify(settings: Settings, source: Source | None = None, *, patience_s: float = 30.0) -> list[Finding]:
    """Compare everything that ought to hold the same, of all corpora; with a source, also with what exists in it.

    What is on its way is waited for, `patience_s` for each comparison, and what comes meanwhile is not held against
    anybody. A document that differs from the source because it is in quarantine, or because a user changed it here, is
    named and counts as equal. A version that is ended meanwhile is left out.
    """
    with opened(settings.catalog_url) as database:
        lake = VectorLake(database, settings.lake_uri)
        with database.read() as connection:
            versions, corpora = _versions(connection), corpora_of(connection)
        findings = [] if source is None else [_source(database, source, patience_s)]
        findings += [_log(database, corpus, patience_s) for corpus in sorted(corpora)]
        for follow in sorted({_follow(version) for version in versions}, key=lambda each: (each.corpus, each.chunker)):
            findings.append(_lake(database, follow, lake, patience_s))
        for version in versions:
            its = [_index(database, version, settings, patience_s), _vectors(database, version, settings, lake)]
            with database.read() as connection:
                ended = version.version_id not in {each.version_id for each in _versions(connection)}
            findings += [finding for finding in its if finding.equal or not ended]
    return findings


def _source(database: Database, source: Source, patience_s: float) -> Finding:
    def look(connection: sa.Connection) -> Compared:
        compared = compare(source.documents, lambda: of_feed(connection, source.feed, source.corpus))
        explained.clear()
        if not compared.differences:
            return compared
        explain = explanations(connection, source.corpus)
        explained.extend(f"{each}: {why}" for each in compared.differences if (why := explain(each)))
        rest = tuple(each for each in compared.differences if not explain(each))
        return Compared(compared.left, compared.right, compared.digest, rest)

    explained: list[str] = []
    finding = _finding(f"source {source.feed} and catalog", _patiently(database.read, look, patience_s))
    return Finding(finding.equal, (*finding.lines, *(f"  explained: {text}" for text in explained[:_SHOWN])))


def _log(database: Database, corpus: str, patience_s: float) -> Finding:
    compared = _patiently(database.read, lambda connection: log_and_documents(connection, corpus), patience_s)
    return _finding(f"log and documents of corpus {corpus}", compared)


def _lake(database: Database, follow: Follow, lake: VectorLake, patience_s: float) -> Finding:
    compared = _patiently(database.read, lambda connection: documents_and_lake(connection, follow, lake), patience_s)
    return _finding(f"documents of corpus {follow.corpus} and lake, space {follow.fingerprint[:12]}", compared)


def _index(database: Database, version: IndexVersion, settings: Settings, patience_s: float) -> Finding:
    name = f"log and index version {version.version_id}"
    try:
        proof = check_completeness(version.version_id, settings, patience_s=patience_s)
        with database.read() as connection:
            audit_passages(connection, load_passages(Path(version.snapshot)))
    except (QuarryError, OSError) as error:
        return Finding(False, (f"DIFFERENT: {name}", f"  {error}"))
    return Finding(True, (f"equal: {name}: {proof['chunks']} chunks, digest {str(proof['digest'])[:16]}",))


def _vectors(database: Database, version: IndexVersion, settings: Settings, lake: VectorLake) -> Finding:
    name = f"lake and index version {version.version_id}"
    try:
        proof = compare_vectors(version, database, lake, settings.store_servers)
    except (QuarryError, OSError, ValueError, IndexError) as error:  # a part that cannot be read, or is too short
        return Finding(False, (f"DIFFERENT: {name}", f"  {error}"))
    how = "all, bit by bit" if proof.exact else "a sample, by search"
    return Finding(True, (f"equal: {name}: {proof.compared} vectors, {how}",))


def _patiently(read: Callable[[], AbstractContextManager[sa.Connection]], look: Look, patience_s: float) -> Compared:
    """What a look gives; one that finds a difference is taken again, since changes may be on their way.

    Where changes never rest, some are on their way at every look: what counts is what differed at the first one, and
    at all that followed, while the side that follows did not move.
    """
    pause, deadline = Event(), time.monotonic() + patience_s
    stuck: dict[DocumentKey, str | None] | None = None
    while True:
        with read() as connection:
            compared = look(connection)
        rest = [each for each in compared.differences if stuck is None or stuck.get(each.key, "") == each.right]
        if not rest or time.monotonic() >= deadline:
            return replace(compared, differences=tuple(rest))
        stuck = {each.key: each.right for each in rest}
        pause.wait(_LOOK_AGAIN_S)


def _finding(name: str, compared: Compared) -> Finding:
    if not compared.differences:
        return Finding(True, (f"equal: {name}: {compared.right} documents, digest {compared.digest[:16]}",))
    shown = [f"  {each}{_sides(each)}" for each in compared.differences[:_SHOWN]]
    more = len(compared.differences) - len(shown)
    counts = f"{len(compared.differences)} documents differ, of {compared.left} and {compared.right}"
    return Finding(False, (f"DIFFERENT: {name}: {counts}", *shown, *([f"  and {more} more"] if more else [])))


def _sides(difference: Difference) -> str:
    if difference.left is None or difference.right is None:
        return ""
    return f": {difference.left[:40]}, not {difference.right[:40]}"


def _versions(connection: sa.Connection) -> list[IndexVersion]:
    return [version for version in list_versions(connection) if version.snapshot and version.in_use]


def _follow(version: IndexVersion) -> Follow:
    return Follow(version.corpus, version.spec.chunker.fingerprint, version.spec.embedding.fingerprint)
