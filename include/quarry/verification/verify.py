"""The proof that nothing was lost and nothing doubled: source, log, documents, lake and indexes hold the same."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event

import sqlalchemy as sa

from include.quarry.catalog.database import Database, opened
from include.quarry.catalog.updates import Follow
from include.quarry.catalog.versions import IndexVersion, list_versions
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from include.quarry.verification.buckets import Compared, Difference, compare
from include.quarry.verification.catalog_sides import documents_and_lake, explanations, log_and_documents, of_feed
from include.quarry.verification.sources import Source

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

    What is on its way is waited for, `patience_s` for each comparison. A document that differs from the source because
    it is in quarantine, or because a user changed it here, is named and counts as equal.
    """
    with opened(settings.catalog_url) as database:
        lake = VectorLake(database, settings.lake_uri)
        with database.read() as connection:
            versions = [version for version in list_versions(connection) if version.snapshot and version.in_use]
        corpora = sorted({version.corpus for version in versions} | ({source.corpus} if source else set()))
        findings = [] if source is None else [_source(database, source, patience_s)]
        for corpus in corpora:
            findings.append(_log(database, corpus, patience_s))
        for follow in sorted({_follow(version) for version in versions}, key=lambda each: (each.corpus, each.chunker)):
            findings.append(_lake(database, follow, lake, patience_s))
    return findings + [_index(version, settings, patience_s) for version in versions]


def _source(database: Database, source: Source, patience_s: float) -> Finding:
    def look(connection: sa.Connection) -> Compared:
        compared = compare(source.documents, lambda: of_feed(connection, source.feed, source.corpus))
        explain = explanations(connection, source.corpus)
        explained.clear()
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


def _index(version: IndexVersion, settings: Settings, patience_s: float) -> Finding:
    name = f"log and index version {version.version_id}"
    try:
        proof = check_completeness(version.version_id, settings, patience_s=patience_s)
    except IncompleteIndex as error:
        return Finding(False, (f"DIFFERENT: {name}", f"  {error}"))
    return Finding(True, (f"equal: {name}: {proof['chunks']} chunks, digest {str(proof['digest'])[:16]}",))


def _patiently(read: Callable[[], AbstractContextManager[sa.Connection]], look: Look, patience_s: float) -> Compared:
    """What a look gives; one that finds a difference is taken again, since changes may be on their way."""
    pause, deadline = Event(), time.monotonic() + patience_s
    while True:
        with read() as connection:
            compared = look(connection)
        if not compared.differences or time.monotonic() >= deadline:
            return compared
        pause.wait(_LOOK_AGAIN_S)


def _finding(name: str, compared: Compared) -> Finding:
    if not compared.differences:
        return Finding(True, (f"equal: {name}: {compared.right} documents, digest {compared.digest[:16]}",))
    shown = [f"  {each}{_versions(each)}" for each in compared.differences[:_SHOWN]]
    more = len(compared.differences) - len(shown)
    counts = f"{len(compared.differences)} documents differ, of {compared.left} and {compared.right}"
    return Finding(False, (f"DIFFERENT: {name}: {counts}", *shown, *([f"  and {more} more"] if more else [])))


def _versions(difference: Difference) -> str:
    if difference.left is None or difference.right is None:
        return ""
    return f": {difference.left[:40]}, not {difference.right[:40]}"


def _follow(version: IndexVersion) -> Follow:
    return Follow(version.corpus, version.spec.chunker.fingerprint, version.spec.embedding.fingerprint)
