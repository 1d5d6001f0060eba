"""Another process ships, is replaced when it dies, and goes with whoever started it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from include.quarry.audit.journal import Journal
from include.quarry.audit.shipping_process import ShippingProcess
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from tests.unit.audit.entries import record


@pytest.fixture
def journal(audit_folder: Path) -> Journal:
    return Journal(audit_folder, "retrieval")


@pytest.fixture
def shipper(journal: Journal, database: Database, catalog_url: str) -> Iterator[ShippingProcess]:
    shipper = ShippingProcess(journal.origin, catalog_url)
    yield shipper
    shipper.close()


def shipped(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(audit_records.c.query_id).order_by(audit_records.c.number)))


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "shipping_process" in " ".join(each.cmdline())]


def test_what_is_written_between_two_steps_is_shipped_once(
    journal: Journal, shipper: ShippingProcess, database: Database
) -> None:
    for query_ids in (["q1", "q2"], ["q3"], []):
        for query_id in query_ids:
            journal.append(record(query_id))
        assert bool(shipper.waiting_bytes()) == bool(query_ids)
        shipper.try_step()
        assert (shipper.waiting_bytes(), shipper.behind_s()) == (0, 0.0)
    assert shipped(database) == ["q1", "q2", "q3"]


def test_one_that_was_killed_is_replaced_and_nothing_is_lost_or_doubled(
    journal: Journal, shipper: ShippingProcess, database: Database
) -> None:
    journal.append(record("q1"))
    shipper.try_step()
    (child,) = children()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    journal.append(record("q2"))
    shipper.try_step()
    assert shipper.waiting_bytes() > 0
    shipper.try_step()
    assert (shipped(database), shipper.waiting_bytes()) == (["q1", "q2"], 0)


def test_it_ends_when_it_is_closed(journal: Journal, shipper: ShippingProcess) -> None:
    shipper.try_step()
    (child,) = children()
    shipper.close()
    assert not child.is_running()
    assert children() == []


def test_a_password_of_the_catalog_is_on_no_command_line(journal: Journal, shipper: ShippingProcess) -> None:
    shipper.try_step()
    assert not any("catalog" in argument or "://" in argument for argument in children()[0].cmdline())


def test_what_a_catalog_that_is_away_did_not_take_waits(journal: Journal, tmp_path: Path) -> None:
    shipper = ShippingProcess(journal.origin, f"sqlite:///{tmp_path / 'no-folder' / 'catalog.db'}")
    journal.append(record("q1"))
    shipper.try_step()
    assert shipper.waiting_bytes() > 0
    assert shipper.behind_s() > 0
    shipper.close()
