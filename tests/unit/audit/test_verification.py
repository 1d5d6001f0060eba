"""Whatever hand changes the audit in the catalog, the verification says so; and says nothing when no hand did."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from include.quarry.audit import verification
from include.quarry.audit.entry import GENESIS, encode_body, hash_of
from include.quarry.audit.journal import Journal
from include.quarry.audit.sealing import seal
from include.quarry.audit.seals import read_seals
from include.quarry.audit.shipping import adopt
from include.quarry.audit.trail import store_records
from include.quarry.audit.verification import Verification, verify
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_chains, audit_records, audit_seals
from tests.unit.audit.entries import START, record

R, C, S = audit_records.c, audit_chains.c, audit_seals.c
_LENGTH = 6


@pytest.fixture
def database(sqlite_catalog: Database) -> Database:
    return sqlite_catalog


@pytest.fixture
def writers(audit_folder: Path, database: Database) -> list[str]:
    """Two processes have lived, and their records are in the catalog."""
    return write(audit_folder, database)


def write(audit_folder: Path, database: Database) -> list[str]:
    journals = [Journal(audit_folder, name) for name in ("gateway", "retrieval")]
    for number in range(_LENGTH):
        for journal in journals:
            journal.append(record(f"q{number}", at=START + timedelta(hours=number)))
    for journal in journals:
        journal.close()
    adopt(audit_folder, database, [store_records])
    return [journal.writer for journal in journals]


def change(database: Database, *statements: sa.Executable) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def kinds(verified: Verification) -> set[str]:
    return {finding.kind for finding in verified.findings}


def make_seal(database: Database, keep_since=None):
    return seal(database, verify(database), now=START + timedelta(days=1), keep_since=keep_since)


def rehashed(database: Database, writer: str, number: int, /, **fields: object) -> sa.Update:
    """An edit by somebody who knows how a record is hashed."""
    with database.read() as connection:
        body = connection.scalar(sa.select(R.body).where(R.writer == writer, R.number == number))
    new = orjson.dumps(orjson.loads(body) | fields).decode()
    columns = {name: value for name, value in fields.items() if name in R}
    edit = sa.update(audit_records).where(R.writer == writer, R.number == number)
    return edit.values(body=new, hash=hash_of(new.encode()), **columns)


def test_what_nobody_touched_is_intact(database: Database, writers: list[str]) -> None:
    assert verify(database).intact
    make_seal(database)
    verified = verify(database)
    assert verified.intact
    assert (verified.records, verified.heads.keys(), len(verified.seals)) == (2 * _LENGTH, set(writers), 1)


def test_an_empty_audit_is_intact_and_can_be_sealed(database: Database) -> None:
    assert verify(database).intact
    assert make_seal(database).number == 1
    assert make_seal(database).number == 2
    assert verify(database).intact


@pytest.mark.parametrize("column", ["tenant", "subject", "action", "query_id", "body", "hash"])
def test_an_edited_column_is_found(database: Database, writers: list[str], column: str) -> None:
    change(database, sa.update(audit_records).where(R.writer == writers[0], R.number == 3).values({column: "other"}))
    assert "edited" in kinds(verify(database))


def test_an_edited_status_or_time_is_found(database: Database, writers: list[str]) -> None:
    third = sa.update(audit_records).where(R.writer == writers[0], R.number == 3)
    change(database, third.values(status=403))
    assert kinds(verify(database)) == {"edited"}
    change(database, third.values(status=200, at=START))
    assert kinds(verify(database)) == {"edited"}


def test_a_body_that_is_no_record_is_found(database: Database, writers: list[str]) -> None:
    edit = sa.update(audit_records).where(R.writer == writers[0], R.number == 3)
    change(database, edit.values(body="[]", hash=hash_of(b"[]")))
    assert {"edited", "broken"} & kinds(verify(database))


def test_an_edit_that_is_hashed_again_breaks_the_chain_after_it(database: Database, writers: list[str]) -> None:
    change(database, rehashed(database, writers[0], 3, subject="eve"))
    (finding,) = verify(database).findings
    assert (finding.kind, finding.place) == ("broken", f"{writers[0]}#4")


def test_a_chain_that_is_forged_to_its_end_breaks_with_its_seal(database: Database, writers: list[str]) -> None:
    make_seal(database)
    forge(database, writers[0], 3, subject="eve")
    assert kinds(verify(database)) == {"unsealed"}


def forge(database: Database, writer: str, number: int, **fields: object) -> None:
    """Edit a record and then hash all that follow, and the head, anew."""
    change(database, rehashed(database, writer, number, **fields))
    for following in range(number + 1, _LENGTH + 1):
        with database.read() as connection:
            before = connection.scalar(sa.select(R.hash).where(R.writer == writer, R.number == following - 1))
        change(database, rehashed(database, writer, following, before=before))
    with database.read() as connection:
        head = connection.scalar(sa.select(R.hash).where(R.writer == writer, R.number == _LENGTH))
    change(database, sa.update(audit_chains).where(C.writer == writer).values(head=head))


def test_a_deleted_record_is_found(database: Database, writers: list[str]) -> None:
    change(database, sa.delete(audit_records).where(R.writer == writers[0], R.number == 3))
    (finding,) = verify(database).findings
    assert (finding.kind, finding.place) == ("missing", f"{writers[0]}#3")


def test_deleted_first_records_are_found(database: Database, writers: list[str]) -> None:
    change(database, sa.delete(audit_records).where(R.writer == writers[0], R.number <= 2))
    (finding,) = verify(database).findings
    assert "numbers 1 to 2" in finding.text


def test_two_records_that_changed_places_are_found(database: Database, writers: list[str]) -> None:
    def renumber(old: int, new: int) -> sa.Update:
        return sa.update(audit_records).where(R.writer == writers[0], R.number == old).values(number=new)

    change(database, renumber(2, 99), renumber(4, 2), renumber(99, 4))
    assert "moved" in kinds(verify(database))


def test_an_inserted_record_is_found(database: Database, writers: list[str]) -> None:
    """The later ones make room, numbers and all."""
    for number in range(_LENGTH, 2, -1):
        move = sa.update(audit_records).where(R.writer == writers[0], R.number == number)
        change(database, move.values(number=number + 1))
        change(database, rehashed(database, writers[0], number + 1, number=number + 1))
    body = orjson.dumps({"writer": writers[0], "number": 3, "before": "0" * 64, "at": START.isoformat()}).decode()
    row = {"writer": writers[0], "number": 3, "at": START, "action": "", "status": 200, "body": body}
    change(database, sa.insert(audit_records).values(**row, hash=hash_of(body.encode())))
    assert {"broken", "cut"} <= kinds(verify(database))


def test_a_record_put_behind_the_end_is_found(database: Database, writers: list[str]) -> None:
    with database.read() as connection:
        last = connection.execute(sa.select(audit_records).where(R.writer == writers[0], R.number == _LENGTH)).one()
    row = last._asdict() | {"number": _LENGTH + 1}
    row["body"] = orjson.dumps(orjson.loads(row["body"]) | {"number": _LENGTH + 1, "before": last.hash}).decode()
    change(database, sa.insert(audit_records).values(**row | {"hash": hash_of(row["body"].encode())}))
    assert kinds(verify(database)) == {"cut"}


def test_a_truncated_tail_is_found_and_after_a_seal_whatever_else_was_changed(
    database: Database, writers: list[str]
) -> None:
    make_seal(database)
    change(database, sa.delete(audit_records).where(R.writer == writers[0], R.number > 4))
    assert kinds(verify(database)) == {"cut"}
    with database.read() as connection:
        head = connection.scalar(sa.select(R.hash).where(R.writer == writers[0], R.number == 4))
    change(database, sa.update(audit_chains).where(C.writer == writers[0]).values(shipped=4, head=head))
    (finding,) = verify(database).findings
    assert "ends at number 4, though it was sealed up to number 6" in finding.text


def test_a_removed_chain_is_found(database: Database, writers: list[str]) -> None:
    change(database, sa.delete(audit_records).where(R.writer == writers[0]))
    assert kinds(verify(database)) == {"cut"}


def test_a_removed_chain_is_found_after_a_seal_whatever_else_was_removed(
    database: Database, writers: list[str]
) -> None:
    make_seal(database)
    change(
        database,
        sa.delete(audit_records).where(R.writer == writers[0]),
        sa.delete(audit_chains).where(C.writer == writers[0]),
    )
    (finding,) = verify(database).findings
    assert "is gone, though it was sealed up to number 6" in finding.text


def test_a_removed_row_of_the_chains_is_found(database: Database, writers: list[str]) -> None:
    change(database, sa.delete(audit_chains).where(C.writer == writers[0]))
    assert kinds(verify(database)) == {"headless"}


def test_records_swapped_between_chains_are_found(database: Database, writers: list[str]) -> None:
    one, other = writers

    def move(old: str, new: str) -> sa.Update:
        return sa.update(audit_records).where(R.writer == old, R.number == 3).values(writer=new)

    change(database, move(one, "aside"), move(other, one), move("aside", other))
    assert kinds(verify(database)) >= {"moved"}


def test_an_edited_seal_is_found(database: Database, writers: list[str]) -> None:
    made = make_seal(database)
    make_seal(database)
    change(database, sa.update(audit_seals).where(S.number == 1).values(sealed_at=START))
    assert kinds(verify(database)) == {"edited"}
    change(database, sa.update(audit_seals).where(S.number == 1).values(sealed_at=made.at, body="{}"))
    assert "edited" in kinds(verify(database))


def test_a_missing_seal_is_found(database: Database, writers: list[str]) -> None:
    for _ in range(3):
        make_seal(database)
    change(database, sa.delete(audit_seals).where(S.number == 2))
    assert ("missing", "seal 2") in {finding.key for finding in verify(database).findings}


def test_an_audit_forged_with_all_its_seals_does_not_fit_a_seal_kept_elsewhere(
    database: Database, writers: list[str]
) -> None:
    kept = {1: make_seal(database).hash, 2: make_seal(database).hash}
    assert verify(database, kept).intact
    change(database, sa.delete(audit_seals))
    forge(database, writers[0], 3, subject="eve")
    make_seal(database)
    assert verify(database).intact, "from inside it cannot be seen"
    found = verify(database, kept).findings
    assert [finding.key for finding in found] == [("replaced", "seal 1"), ("missing", "seal 2")]


def test_what_retention_removed_is_no_finding_and_what_it_left_still_is(database: Database, writers: list[str]) -> None:
    make_seal(database, keep_since=START + timedelta(hours=3))
    verified = verify(database)
    assert verified.intact
    assert verified.records == 2 * 3
    change(database, sa.delete(audit_records).where(R.writer == writers[0], R.number == 4))
    assert kinds(verify(database)) == {"missing"}


def test_postgresql_is_verified_sealed_and_cut_alike(audit_folder: Path, catalog_url: str) -> None:
    database = Database(catalog_url)
    one, _ = write(audit_folder, database)
    make_seal(database, keep_since=START + timedelta(hours=3))
    assert verify(database).intact
    change(database, sa.delete(audit_records).where(R.writer == one, R.number == 5))
    assert kinds(verify(database)) == {"missing"}
    database.close()


def test_a_chain_that_retention_removed_whole_leaves_only_its_seals(database: Database, writers: list[str]) -> None:
    make_seal(database)
    make_seal(database, keep_since=START + timedelta(days=1))
    verified = verify(database)
    assert (verified.intact, verified.records) == (True, 0)
    with database.read() as connection:
        assert connection.execute(sa.select(audit_chains)).all() == []
        assert len(read_seals(connection)[0]) == 2


def test_a_removal_that_was_cut_short_goes_on_and_is_no_finding(
    database: Database, writers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("include.quarry.audit.sealing._remove", dies)
        with pytest.raises(KeyboardInterrupt):
            make_seal(database, keep_since=START + timedelta(hours=3))
    assert verify(database).intact
    assert count(database) == 2 * _LENGTH
    make_seal(database)
    assert verify(database).intact
    assert count(database) == 2 * 3


def test_a_clock_that_went_back_keeps_what_stands_behind_a_young_record(audit_folder: Path, database: Database) -> None:
    journal = Journal(audit_folder, "gateway")
    for hours in (0, 5, 1, 6):
        journal.append(record(at=START + timedelta(hours=hours)))
    journal.close()
    adopt(audit_folder, database, [store_records])
    make_seal(database, keep_since=START + timedelta(hours=3))
    assert verify(database).intact
    assert count(database) == 3


def test_findings_are_sealed_so_that_tomorrow_they_are_known(database: Database, writers: list[str]) -> None:
    change(database, sa.delete(audit_records).where(R.writer == writers[0], R.number == 3))
    made = make_seal(database)
    assert [finding.key for finding in made.findings] == [("missing", f"{writers[0]}#3")]
    assert verify(database).seals[-1].findings == made.findings


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(audit_records)) or 0


def test_any_one_change_of_any_one_cell_is_found(database: Database, writers: list[str]) -> None:
    make_seal(database)
    dice = random.Random(7)
    changes: list[tuple[sa.Table, Callable[[], object]]] = [(audit_records, _other), (audit_chains, _other)]
    for _ in range(40):
        table, other = dice.choice(changes)
        column = dice.choice([each for each in table.columns if isinstance(each.type, sa.String)])
        with database.read() as connection:
            row = dice.choice(connection.execute(sa.select(table)).all())
        key = sa.and_(*(each == getattr(row, each.name) for each in table.primary_key))
        changed = sa.and_(
            *(each == (other() if each is column else getattr(row, each.name)) for each in table.primary_key)
        )
        change(database, sa.update(table).where(key).values({column: other()}))
        assert not verify(database).intact, f"{table}.{column.name}"
        change(database, sa.update(table).where(changed).values(row._asdict()))
        assert verify(database).intact


def _other() -> str:
    return "something else"


def forged(writer: str, number: int) -> sa.Insert:
    """A record that nobody wrote, with the right hash of its body."""
    body = encode_body(writer, number, GENESIS, record("forged", subject="framed"))
    columns = {"tenant": "red", "subject": "framed", "action": "POST /v1/retrieve", "status": 200, "at": START}
    values = {"writer": writer, "number": number, "body": body.decode(), "hash": hash_of(body)}
    return sa.insert(audit_records).values(**columns, **values)


@pytest.mark.parametrize("number", [0, -7])
def test_a_record_put_before_the_first_one_is_found(database: Database, writers: list[str], number: int) -> None:
    change(database, forged(writers[0], number))
    assert "excess" in kinds(verify(database))


@pytest.mark.parametrize("hours", [3, 300])
def test_a_record_put_where_retention_has_removed_them_is_found(
    database: Database, writers: list[str], hours: int
) -> None:
    make_seal(database, keep_since=START + timedelta(hours=hours))
    assert verify(database).intact
    change(database, forged(writers[0], 2))
    assert "excess" in kinds(verify(database))


def test_what_retention_had_no_time_to_remove_is_no_finding_and_is_checked(
    database: Database, writers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.quarry.audit.sealing._remove", lambda *_: None)
    make_seal(database, keep_since=START + timedelta(hours=4))
    assert verify(database).intact
    change(database, sa.delete(audit_records).where(R.number == 1))
    assert verify(database).intact, "it goes from the first one on"
    change(database, rehashed(database, writers[0], 3, status=500))
    assert not verify(database).intact


def test_a_look_beside_which_retention_removes_records_finds_nothing_wrong(
    database: Database, writers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, looks = verification.read_chain, []

    def read_late(*chain: Any) -> Iterator[Any]:
        looks.append(chain)
        if len(looks) == 1:
            make_seal(database, keep_since=START + timedelta(hours=3))
        return read(*chain)

    monkeypatch.setattr(verification, "read_chain", read_late)
    assert verify(database).intact
