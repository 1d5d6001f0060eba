"""What journals hold ends up in the catalog, each entry once: two writers, a busy catalog, a death in between."""

import threading
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from include.quarry.audit.entry import Entry
from include.quarry.audit.journal import Journal
from include.quarry.audit.segments import writers
from include.quarry.audit.shipping import Shipper, adopt
from include.quarry.audit.trail import store_records
from include.quarry.audit.verification import verify
from include.quarry.catalog import database as catalog
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_chains, audit_records, queries
from include.quarry.errors import Unavailable
from include.quarry.feedback.query_log import store_queries
from tests.unit.audit.entries import content, record

SINKS = (store_records, store_queries)


def shipped(database: Database) -> list[tuple[str, int, str]]:
    r = audit_records.c
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(r.writer, r.number, r.query_id).order_by(r.number))]


def test_entries_are_shipped_once_and_their_segments_forgotten(audit_folder: Path, database: Database) -> None:
    journal = Journal(audit_folder, "retrieval", segment_bytes=1000)
    shipper = Shipper(journal.origin, database, SINKS)
    for number in range(30):
        journal.append(record(f"q{number}"))
        if number % 7 == 0:
            shipper.step()
    shipper.step()
    assert shipped(database) == [(journal.writer, number + 1, f"q{number}") for number in range(30)]
    assert len(list((audit_folder / journal.writer).glob("0*"))) == 1
    assert (shipper.step(), shipper.waiting_bytes()) == (0, 0)
    with database.read() as connection:
        (chain,) = connection.execute(sa.select(audit_chains))
        head = connection.scalar(sa.select(audit_records.c.hash).where(audit_records.c.number == 30))
    assert tuple(chain) == (journal.writer, 30, head)


def test_content_goes_to_the_query_log_and_nowhere_else(audit_folder: Path, database: Database) -> None:
    journal = Journal(audit_folder, "retrieval")
    journal.append(record("q1"), content("a very private question"))
    journal.append(record("q2"))
    journal.append(record("q3"), {"kind": "retrieve"})
    Shipper(journal.origin, database, SINKS).step()
    with database.read() as connection:
        (row,) = connection.execute(sa.select(queries))
        bodies = connection.scalars(sa.select(audit_records.c.body)).all()
    assert (row.query_id, row.query, row.tenant, row.subject) == ("q1", "a very private question", "red", "ann")
    assert (row.kind, row.corpus, row.index_version) == ("retrieve", "main", "v1")
    assert row.hits == [["c1", "a", 0.5, {"dense": 1}]]
    assert len(bodies) == 3
    assert not any("private" in body for body in bodies)


def test_the_query_log_names_the_release_that_answered(audit_folder: Path, database: Database) -> None:
    release = {"release_id": "brief", "model": "small", "prompt_version": "0123456789ab"}
    journal = Journal(audit_folder, "gateway")
    journal.append(record("q1", facts={"release": release}), content("what?"))
    Shipper(journal.origin, database, SINKS).step()
    with database.read() as connection:
        assert connection.scalar(sa.select(queries.c.release)) == release


def test_a_dead_writers_rest_is_adopted_and_its_torn_line_left_out(
    audit_folder: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Journal(audit_folder, "gateway")
    for number in range(3):
        dead.append(record(f"q{number}"))
    Shipper(dead.origin, database, SINKS).step()
    dead.append(record("q3"))
    (segment,) = (audit_folder / dead.writer).glob("0*")
    with segment.open("ab") as file:
        file.write(b'0badc0de\t{"writer": "gate')
    dead.close()
    living = Journal(audit_folder, "gateway")
    living.append(record("q9"))
    Shipper(living.origin, database, SINKS).step()
    assert sorted(shipped(database)) == sorted(
        [(dead.writer, number + 1, f"q{number}") for number in range(4)] + [(living.writer, 1, "q9")]
    )
    assert writers(audit_folder) == [living.writer]
    assert "no answer yet" in caplog.text


def test_a_field_that_the_catalog_cannot_take_is_shipped_all_the_same_and_fits_its_chain(
    audit_folder: Path, database: Database
) -> None:
    journal = Journal(audit_folder, "gateway")
    journal.append(record("q1", action="GET /v1/a\0", tenant=None, subject=None))
    journal.append(record("q2"))
    Shipper(journal.origin, database, SINKS).step()
    verified = verify(database)
    assert (verified.records, verified.findings) == (2, ())
    with database.read() as connection:
        row = connection.execute(sa.select(audit_records).where(audit_records.c.number == 1)).one()
    assert row.action == "GET /v1/a\N{REPLACEMENT CHARACTER}"
    assert orjson.loads(row.body)["action"] == "GET /v1/a\0"


def test_a_writer_that_cannot_be_adopted_keeps_no_other_back(
    audit_folder: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    dead = sorted((Journal(audit_folder, "gateway") for _ in range(3)), key=lambda journal: journal.writer)
    for number, journal in enumerate(dead):
        journal.append(record(f"q{number}"))
        journal.close()

    def refuse(_: sa.Connection, entries: Sequence[Entry]) -> None:
        if entries[0].writer in {dead[0].writer, dead[1].writer}:
            raise Unavailable(f"not {entries[0].writer}")

    with pytest.raises(Unavailable, match=dead[0].writer):
        adopt(audit_folder, database, [store_records, refuse])
    assert [row[2] for row in shipped(database)] == ["q2"]
    assert writers(audit_folder) == [dead[0].writer, dead[1].writer]
    assert adopt(audit_folder, database, SINKS) == 2


def test_adopting_twice_at_once_ships_once(audit_folder: Path, database: Database) -> None:
    for _ in range(4):
        dead = Journal(audit_folder, "gateway")
        for number in range(20):
            dead.append(record(f"q{number}"))
        dead.close()
    threads = [threading.Thread(target=adopt, args=(audit_folder, database, SINKS)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shipped(database)) == len(set(shipped(database))) == 80
    assert writers(audit_folder) == []


def test_a_death_between_shipping_and_forgetting_doubles_nothing(audit_folder: Path, database: Database) -> None:
    dead = Journal(audit_folder, "gateway")
    for number in range(5):
        dead.append(record(f"q{number}"), content("what?"))
    Shipper(dead.origin, database, SINKS).step()
    dead.close()
    adopt(audit_folder, database, SINKS)
    assert len(shipped(database)) == 5


def test_a_busy_catalog_makes_entries_wait_and_loses_none(
    audit_folder: Path, database: Database, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_BUSY_TIMEOUT_MS", 50)
    journal, impatient = Journal(audit_folder, "retrieval"), Database(catalog_url)
    shipper = Shipper(journal.origin, impatient, SINKS)
    journal.append(record("q1"))
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE audit_records IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            shipper.step()
        assert shipper.waiting_bytes() > 0
    journal.append(record("q2"))
    shipper.step()
    impatient.close()
    assert [row[2] for row in shipped(database)] == ["q1", "q2"]


def test_shipping_waits_for_no_writer_of_the_log(
    audit_folder: Path, postgres_catalog: Database, other_connection: Database
) -> None:
    journal = Journal(audit_folder, "retrieval")
    journal.append(record("q1"))
    with postgres_catalog.write():
        Shipper(journal.origin, other_connection, SINKS).step()
    assert len(shipped(postgres_catalog)) == 1


def test_a_damaged_line_is_left_out_and_its_segment_kept(
    audit_folder: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(audit_folder, "retrieval")
    for number in range(3):
        journal.append(record(f"q{number}"))
    journal.close()
    (segment,) = (audit_folder / journal.writer).glob("0*")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + b"\0" * 40 + b"\n" + lines[2])
    adopt(audit_folder, database, SINKS)
    assert [row[1] for row in shipped(database)] == [1, 3]
    assert "no entry" in caplog.text
    assert [path.suffix for path in (audit_folder / journal.writer).iterdir()] == [".damaged"]
    assert adopt(audit_folder, database, SINKS) == 0
