"""The exported file holds the records that are wanted, whole, and whoever has it can verify it."""

from datetime import timedelta
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.quarry.audit import lookup
from include.quarry.audit.entry import GENESIS, hash_of
from include.quarry.audit.export import export_parquet
from include.quarry.audit.journal import Journal
from include.quarry.audit.lookup import Wanted
from include.quarry.audit.shipping import adopt
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from tests.unit.audit.entries import START, record


@pytest.fixture
def database(sqlite_catalog: Database, audit_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(lookup, "_BATCH", 3)
    for name in ("gateway", "retrieval"):
        journal = Journal(audit_folder, name)
        for number in range(7):
            facts = {"tier": "fast", "usage": {"prompt_tokens": number, "completion_tokens": 1}, "cost": 0.5}
            tenant = "red" if number % 2 else "blue"
            at = START + timedelta(hours=number)
            journal.append(record(f"{name}-{number}", at=at, tenant=tenant, facts=facts))
        journal.close()
    adopt(audit_folder, sqlite_catalog, [store_records])
    return sqlite_catalog


def test_every_record_is_in_the_file_and_can_be_verified_from_it(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "audit.parquet"
    assert export_parquet(database, Wanted(), path) == 14
    rows = pq.read_table(path).to_pylist()
    assert [row["number"] for row in rows] == [*range(1, 8)] * 2
    before = {}
    for row in rows:
        body = orjson.loads(row["body"])
        assert hash_of(row["body"].encode()) == row["hash"]
        assert body["before"] == before.get(row["writer"], GENESIS)
        before[row["writer"]] = row["hash"]
    first = rows[0]
    assert (first["at"], first["tenant"], first["status"]) == (START, "blue", 200)
    assert (first["chunks"], first["documents"]) == (["gateway-0-c1", "gateway-0-c2"], ["a", "b"])
    assert (first["tier"], first["prompt_tokens"], first["cost"]) == ("fast", 0, 0.5)


@pytest.mark.parametrize("body", ["no record", "[1]", '{"chunks": 7}', '{"usage": 7}'])
def test_a_record_that_somebody_has_spoiled_is_exported_as_it_is(database: Database, tmp_path: Path, body: str) -> None:
    path = tmp_path / "audit.parquet"
    with database.write() as connection:
        connection.execute(sa.update(audit_records).where(audit_records.c.number == 2).values(body=body))
    assert export_parquet(database, Wanted(), path) == 14
    rows = pq.read_table(path).to_pylist()
    assert [row["body"] for row in rows if row["number"] == 2] == [body] * 2
    assert all(row["chunks"] for row in rows if row["number"] != 2)


def test_only_what_is_wanted_is_exported(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "audit.parquet"
    wanted = Wanted(tenant="red", since=START + timedelta(hours=2), until=START + timedelta(hours=5))
    assert export_parquet(database, wanted, path) == 2
    assert {row["query_id"] for row in pq.read_table(path).to_pylist()} == {"gateway-3", "retrieval-3"}
    assert export_parquet(database, Wanted(tenant="nobody"), path) == 0
    assert pq.read_table(path).num_rows == 0


def test_an_export_that_fails_leaves_no_half_of_a_file(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("include.quarry.audit.export._flat", fails)
    with pytest.raises(KeyboardInterrupt):
        export_parquet(database, Wanted(), tmp_path / "audit.parquet")
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == []
