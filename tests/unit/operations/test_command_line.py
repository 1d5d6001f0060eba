"""What an operator sees who starts it wrongly: a sentence, never a traceback."""

import os
import stat
import subprocess
import sys
import tempfile

import pytest

from include.quarry.__main__ import main
from include.quarry.operations.installation import REPOSITORY
from include.quarry.operations.ports import ports_of
from include.quarry.routing.scratch import Scratch
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


def test_what_is_written_is_its_owners_only_in_a_home_that_everybody_may_look_into(home):
    home.mkdir(mode=0o755)
    for command in ("migrate", "token"):
        subprocess.run([sys.executable, "-m", "include.quarry", command], cwd=REPOSITORY, check=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in home.rglob("*")}
    assert "catalog.db" in modes
    assert not any(modes.values()), modes


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_mistyped_setting_stops_the_start(where, home, monkeypatch, capsys):
    if where == ".env":
        monkeypatch.chdir(home.parent)
        (home.parent / ".env").write_text("QUARRY_MOD=production\n")
    else:
        monkeypatch.setenv("QUARRY_MOD", "production")
    assert main(["up"]) == 1
    assert "QUARRY_MOD is no setting; is QUARRY_MODE meant?" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("FEEDS", "no/feeds.yaml"), ("PRICES", "no/prices.yaml")])
def test_a_file_that_is_not_there_stops_the_start_before_anything_runs(name, said, monkeypatch, capsys):
    for number, port in enumerate(ports_of(load_settings())):
        monkeypatch.setenv(port.variable, str(21_000 + number))
    monkeypatch.setenv(f"QUARRY_{name}", said)
    load_settings.cache_clear()
    assert main(["up"]) == 1
    assert said in capsys.readouterr().err


def test_down_leaves_no_working_folder_of_a_replica_that_was_killed(home, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = Scratch(home)
    (killed.path / "words").write_text("of a tenant")
    os.close(killed._lock)  # as the system does when it ends a process
    assert main(["down"]) == 0
    assert not killed.path.exists()


def test_a_token_of_a_plan_that_there_is_not_is_not_made(capsys):
    assert main(["token", "--plan", "standart"]) == 1
    assert "standard" in capsys.readouterr().err
