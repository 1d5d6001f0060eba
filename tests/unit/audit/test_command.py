"""The command line verifies, says what is wrong with its exit code too, and exports."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.quarry.__main__ import main
from include.quarry.audit.journal import Journal
from include.quarry.audit.sealing import seal
from include.quarry.audit.verification import verify
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from include.quarry.settings import load_settings
from tests.unit.audit.entries import START, record


@pytest.fixture
def home(sqlite_catalog: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a dead process has left, not shipped yet, beside a catalog."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    load_settings.cache_clear()
    journal = Journal(tmp_path / "audit", "gateway")
    for number in range(3):
        journal.append(record(f"q{number}"))
    journal.close()
    yield tmp_path
    load_settings.cache_clear()


def test_what_a_dead_process_left_is_shipped_and_verified(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify"]) == 0
    assert capsys.readouterr().out.startswith("intact: 3 records in 1 chains, 0 seals")


def test_a_broken_chain_ends_with_1_and_says_where(
    home: Path, sqlite_catalog: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", "verify"])
    with sqlite_catalog.write() as connection:
        connection.execute(sa.delete(audit_records).where(audit_records.c.number == 2))
    assert main(["audit", "verify"]) == 1
    shown = capsys.readouterr().out
    assert "BROKEN: 2 records" in shown
    assert "missing: number 2 of gateway-" in shown


def test_a_seal_kept_elsewhere_is_held_against_the_catalog(
    home: Path, sqlite_catalog: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", "verify"])
    made = seal(sqlite_catalog, verify(sqlite_catalog), now=START, keep_since=None)
    assert main(["audit", "verify", "--seal", f"1:{made.hash}"]) == 0
    assert f"the newest 1:{made.hash}" in capsys.readouterr().out
    assert main(["audit", "verify", "--seal", f"1:{'0' * 64}"]) == 1
    with pytest.raises(SystemExit):
        main(["audit", "verify", "--seal", "nonsense"])


def test_records_are_exported(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.parquet"
    assert main(["audit", "export", str(out), "--tenant", "red", "--since", "2026-03-01"]) == 0
    assert "3 records" in capsys.readouterr().out
    assert pq.read_table(out).num_rows == 3
    assert main(["audit", "export", str(tmp_path / "no" / "folder.parquet")]) == 1
    with pytest.raises(SystemExit):
        main(["audit", "export", str(out), "--since", "yesterday"])
