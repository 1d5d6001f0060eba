import stat
import threading
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from include.quarry.errors import Conflict
from include.quarry.operations import installation as module
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.programs import programs_of
from include.quarry.settings import Settings


def test_a_relative_home_lies_in_the_repository():
    assert Installation(Settings(home=".quarry", _env_file=None)).home == REPOSITORY / ".quarry"


def test_two_homes_never_share_sockets(tmp_path):
    one, two = (Installation(Settings(home=tmp_path / name, _env_file=None)) for name in ("one", "two"))
    assert one.sockets != two.sockets


def test_socket_paths_stay_short_however_long_home_is(tmp_path):
    deep = Installation(Settings(home=tmp_path / ("x" * 120), _env_file=None))
    assert len(str(deep.supervisor_socket)) < 60
    assert len(str(deep.ray)) < 40
    assert deep.ray.is_relative_to(deep.sockets)


def test_ray_keeps_its_sessions_in_home_when_there_is_room(tmp_path):
    assert Installation(Settings(home="/q", _env_file=None)).ray.as_posix() == "/q/ray"


def test_a_secret_is_made_once_is_long_and_is_readable_by_its_owner_only(installation):
    installation.prepare()
    secret = installation.secret("tokens")
    assert len(secret) >= 64
    assert installation.secret("tokens") == secret
    assert installation.secret("sessions") != secret
    assert stat.S_IMODE((installation.run / "tokens.secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("dies_in", ["token_urlsafe", "fsync", "link"])
def test_a_secret_whose_maker_died_is_made_up_anew_and_whole(installation, monkeypatch, dies_in):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(module.secrets if dies_in == "token_urlsafe" else module.os, dies_in, die)
        installation.secret("tokens")
    assert not (installation.run / "tokens.secret").exists()
    assert len(installation.secret("tokens")) >= 64


def test_a_half_written_draft_is_never_taken_for_the_secret(installation):
    installation.prepare()
    for name in (".tokens.abc", "tokens.draft"):
        (installation.run / name).write_text("half")
    assert len(installation.secret("tokens")) >= 64
    assert installation.secret("tokens") == (installation.run / "tokens.secret").read_text()


def test_processes_that_make_up_a_secret_at_once_agree(installation, monkeypatch):
    together, made = threading.Barrier(6), []
    really_make = module.secrets.token_urlsafe

    def make_together(length):
        together.wait(10)
        return really_make(length)

    monkeypatch.setattr(module.secrets, "token_urlsafe", make_together)
    threads = [threading.Thread(target=lambda: made.append(installation.secret("tokens"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(installation.run / "tokens.secret").read_text()] * 6


def test_home_is_private_whoever_makes_it_first(installation):
    programs_of(installation)
    installation.prepare()
    assert stat.S_IMODE(installation.home.stat().st_mode) == 0o700


def test_processes_see_what_was_set_and_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_HTTP_PORT", "8123")
    environment = Installation(Settings(home=tmp_path, _env_file=None)).environment()
    assert environment["QUARRY_HTTP_PORT"] == "8123"
    assert environment["QUARRY_HOME"] == str(tmp_path)
    assert environment["QUARRY_SERVE_CONFIG"] == str(REPOSITORY / "ray_apps/config/serve.local.yaml")
    assert environment["QUARRY_PLANS"] == str(REPOSITORY / "include/plans.yaml")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_process_reads_back_every_setting_that_was_set(name, monkeypatch):
    said = Settings(**{"home": Path("/q"), name: another_value(name)}, _env_file=None)
    assert getattr(said, name) != Settings.model_fields[name].default
    for variable, text in Installation(said).environment().items():
        monkeypatch.setenv(variable, text)
    assert getattr(Settings(_env_file=None), name) == getattr(said, name)


def another_value(name: str) -> Any:
    """A value that the setting may have and that is not its default, as awkward as its type allows."""
    field = Settings.model_fields[name]
    default, kind = field.default, field.annotation
    if get_origin(kind) is Literal:
        return next(value for value in get_args(kind) if value != default)
    match default:
        case bool():
            return not default
        case Path():
            return Path("/elsewhere/a folder/f.yaml")
        case dict():
            return {"a'b": 0.25, "c": 3} if get_args(kind)[1] is float else {"wiki": "a 'folder'", "ö": ""}
        case str():
            return "10.0.0.5" if name == "host" else '{"text": "with \'quotes\' and an ö"} '
    for value in (default + 1, default / 2):
        try:
            return getattr(Settings(**{name: value}, _env_file=None), name)
        except ValidationError:
            continue
    raise AssertionError(f"no other value of {name} is known; add one")


def test_the_socket_folder_is_private(installation):
    installation.prepare()
    assert stat.S_IMODE(installation.sockets.stat().st_mode) == 0o700


@pytest.mark.parametrize("found", ["open to all", "a link"])
def test_sockets_are_not_put_where_somebody_else_waits_for_them(installation, tmp_path, found):
    if found == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        installation.sockets.symlink_to(tmp_path / "elsewhere")
    else:
        installation.sockets.mkdir()
        installation.sockets.chmod(0o777)
    with pytest.raises(Conflict, match=installation.sockets.name):
        installation.prepare()
    if found == "a link":
        installation.sockets.unlink()
