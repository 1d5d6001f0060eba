"""Seals: the heads of all chains at one time under one hash, which also covers the seal before.

A chain alone cannot tell that its tail, or all of it, was taken away; a seal can, and so the newest seal's hash, kept
elsewhere too, vouches for everything before it. A seal also holds what retention has removed, and what was found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from include.quarry.audit.chain import Finding, Point
from include.quarry.audit.entry import GENESIS, hash_of
from include.quarry.catalog.request_schema import audit_seals


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal. `heads` are of the chains that moved since the seal before, `removed` what retention took from which.

    `records` were checked before it, and `findings` is what did not fit.
    """

    number: int
    before: str
    at: datetime
    records: int
    heads: Mapping[str, Point]
    removed: Mapping[str, Point]
    findings: tuple[Finding, ...]
    hash: str = field(default="", compare=False)


def append_seal(connection: sa.Connection, seal: Seal) -> Seal:
    """Keep a seal; gives it with its hash."""
    fields = asdict(seal)
    del fields["hash"]
    for name in ("heads", "removed"):
        fields[name] = {writer: list(point) for writer, point in fields[name].items()}
    body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    row = {"number": seal.number, "sealed_at": seal.at, "body": body.decode(), "hash": hash_of(body)}
    connection.execute(sa.insert(audit_seals).values(**row))
    return replace(seal, hash=hash_of(body))


def read_seal(body: str, kept_hash: str) -> Seal:
    """The seal of a row. Raises `ValueError` for what is none."""
    try:
        fields: dict[str, Any] = orjson.loads(body)
        fields["at"] = datetime.fromisoformat(fields["at"])
        for name in ("heads", "removed"):
            fields[name] = {writer: Point(*point) for writer, point in fields[name].items()}
        fields["findings"] = tuple(Finding(**finding) for finding in fields["findings"])
        return Seal(**fields, hash=kept_hash)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the body is no seal ({error})") from error


def read_seals(connection: sa.Connection) -> tuple[list[Seal], list[Finding]]:
    """All seals that can be read, in order, and what does not fit among them."""
    seals: list[Seal] = []
    findings: list[Finding] = []
    expected, before = 1, GENESIS
    for row in connection.execute(sa.select(audit_seals).order_by(audit_seals.c.number)):
        place = f"seal {row.number}"
        try:
            seal = read_seal(row.body, row.hash)
            intact = hash_of(row.body.encode()) == row.hash and (seal.number, seal.at) == (row.number, row.sealed_at)
        except ValueError:
            findings.append(Finding("edited", place, f"{place} cannot be read"))
        else:
            seals.append(seal)
            if not intact:
                findings.append(Finding("edited", place, f"{place} does not have the hash of its body"))
            if row.number != expected:
                findings.append(Finding("missing", f"seal {expected}", f"seal {expected} is gone"))
            elif seal.before != before:
                findings.append(Finding("broken", place, f"{place} does not follow the one before it"))
        expected, before = row.number + 1, row.hash
    return seals, findings


def newest_seal(connection: sa.Connection) -> Seal | None:
    """The newest seal, unchecked; None before there is one. Raises `ValueError` when it cannot be read."""
    row = connection.execute(sa.select(audit_seals).order_by(audit_seals.c.number.desc()).limit(1)).first()
    return None if row is None else read_seal(row.body, row.hash)


def compare_kept(seals: Sequence[Seal], kept: Mapping[int, str]) -> list[Finding]:
    """What does not fit between the catalog's seals and hashes of seals that were kept elsewhere, by number."""
    held = {seal.number: seal.hash for seal in seals}
    findings = []
    for number, kept_hash in sorted(kept.items()):
        if number not in held:
            findings.append(Finding("missing", f"seal {number}", f"seal {number} is gone; elsewhere it was kept"))
        elif held[number] != kept_hash:
            text = f"seal {number} is {held[number][:12]}…; elsewhere {kept_hash[:12]}… was kept"
            findings.append(Finding("replaced", f"seal {number}", text))
    return findings


def sealed_points(seals: Iterable[Seal]) -> dict[str, dict[int, str]]:
    """By writer, the hash of each record that was the head of its chain when a seal was made."""
    points: dict[str, dict[int, str]] = {}
    for seal in seals:
        for writer, point in seal.heads.items():
            points.setdefault(writer, {})[point.number] = point.hash
    return points


def removed_points(seals: Iterable[Seal]) -> dict[str, Point]:
    """By writer, how far retention has removed its chain."""
    removed: dict[str, Point] = {}
    for seal in seals:
        removed |= seal.removed
    return removed
