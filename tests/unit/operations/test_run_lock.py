import subprocess
import sys

import pytest

from include.quarry import __main__ as command_line
from include.quarry.errors import Conflict
from include.quarry.operations.installation import Installation
from include.quarry.operations.run_lock import run_lock
from include.quarry.settings import Settings

HOLD = """
import sys, time
from include.quarry.operations.installation import Installation
from include.quarry.operations.run_lock import run_lock
from include.quarry.settings import Settings
with run_lock(Installation(Settings(home=sys.argv[1], _env_file=None))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(installation):
    """Another process that is starting the platform in the same home."""
    command = [sys.executable, "-c", HOLD, str(installation.home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_the_second_of_two_starts_is_told_and_does_nothing(installation, other, command, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "load_settings", lambda: installation.settings)
    monkeypatch.setattr(f"include.quarry.operations.{command}.{command}", lambda *_: pytest.fail("it started"))
    assert command_line.main([command]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Conflict: another `up` or `demo` is at work")
    assert str(installation.home) in told


def test_a_start_that_was_killed_stands_in_nobodys_way(installation, other):
    with pytest.raises(Conflict), run_lock(installation):
        pytest.fail("two at once")
    other.kill()
    other.wait()
    with run_lock(installation):
        pass


def test_another_home_is_another_matter(installation, other, tmp_path):
    with run_lock(Installation(Settings(home=tmp_path / "elsewhere", _env_file=None))):
        pass


def test_a_start_that_ended_lets_the_next_one_in(installation):
    for _ in range(2):
        with run_lock(installation):
            pass
