"""What the catalog's errors say: enough to mend it, and never the password in its URL."""

import logging
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.settings import Settings

_WRONG = {
    "nobody listens": "postgresql://quarry:hush-hush@127.0.0.1:1/catalog",
    "no such host": "postgresql://quarry:hush-hush@no.such.host.invalid/catalog",
    "unknown database": "mysql://quarry:hush-hush@127.0.0.1/catalog",
    "port that is no number": "postgresql://quarry:hush-hush@127.0.0.1:port/catalog",
    "no URL": "quarry:hush-hush@127.0.0.1",
}


@pytest.mark.parametrize("what", _WRONG)
@pytest.mark.parametrize("use", ["read", "write", "migrate"])
def test_no_error_and_no_log_shows_the_password(
    what: str, use: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((Unavailable, Misconfigured)) as caught:
        if use == "migrate":
            migrate(_WRONG[what])
        else:
            with getattr(Database(_WRONG[what]), use)():
                pytest.fail("this catalog cannot be there")
    shown = traceback.format_exception(caught.value)
    assert "hush-hush" not in "".join(shown)
    assert "hush-hush" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("home", ["", "nowhere/"], ids=["no tables", "no folder"])
def test_a_catalog_that_nobody_has_made_yet_is_not_one_to_try_again(tmp_path: Path, home: str) -> None:
    database = Database(f"sqlite:///{tmp_path}/{home}catalog.db")
    with pytest.raises(Unavailable, match="make up"), database.read() as connection:
        connection.execute(text("SELECT 1 FROM index_versions"))
    database.close()


def test_the_settings_can_be_printed_without_their_secrets() -> None:
    secrets = {
        "database_url": "postgresql://quarry:hush-1@db/catalog",
        "lake_url": "s3://key:hush-2@bucket",
        "failure_webhook": "https://chat/services/hush-3",
        "openai_key": "hush-4",
    }
    settings = Settings(**secrets, _env_file=None)
    assert "hush" not in f"{settings!r} {settings}"
    with pytest.raises(ValueError) as caught:
        Settings(**secrets, http_port=-1, _env_file=None)
    assert "hush" not in str(caught.value)


def test_an_error_does_not_quote_what_was_to_be_stored(tmp_path: Path) -> None:
    database, secret = Database(f"sqlite:///{tmp_path / 'catalog.db'}"), "the formula of the glaze"
    with pytest.raises(IntegrityError) as refused, database.write() as connection:
        connection.execute(text("create table told (what text unique)"))
        for _ in range(2):
            connection.execute(text("insert into told values (:what)"), {"what": secret})
    database.close()
    assert "told" in str(refused.value)
    assert secret not in str(refused.value)
