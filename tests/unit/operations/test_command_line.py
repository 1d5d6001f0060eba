"""What an operator sees who starts it wrongly: a sentence, never a traceback."""

import pytest

from include.quarry.__main__ import main
from include.quarry.settings import load_settings


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    yield tmp_path / "home"
    load_settings.cache_clear()


@pytest.mark.parametrize("command", ["token", "migrate", "down"])
def test_a_home_that_is_no_folder_is_said(command, home, capsys):
    home.write_text("a file")
    assert main([command]) == 1
    assert "QUARRY_HOME" in capsys.readouterr().err


def test_a_setting_that_cannot_be_is_said(monkeypatch, capsys):
    monkeypatch.setenv("QUARRY_HTTP_PORT", "80x")
    assert main(["status"]) == 1
    assert "QUARRY_HTTP_PORT=80x" in capsys.readouterr().err


def test_before_the_first_start_there_is_no_catalog_and_no_log(capsys):
    assert main(["versions", "list"]) == 1
    assert "make up" in capsys.readouterr().err
    assert main(["logs"]) == 1
    assert "None" not in capsys.readouterr().err
