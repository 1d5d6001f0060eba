import configparser
import shlex
import sys

import pytest

from include.quarry.errors import Unavailable
from include.quarry.operations.programs import Program
from include.quarry.operations.supervision import configuration, settings_changed, states, supervisor_process


def parsed(installation, *parts):
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(installation, parts))
    return parser


def test_supervisor_listens_on_a_private_unix_socket_only(installation):
    conf = parsed(installation)
    assert "inet_http_server" not in conf
    assert conf["unix_http_server"]["file"] == str(installation.supervisor_socket)
    assert conf["unix_http_server"]["chmod"] == "0600"


def test_a_part_is_restarted_and_its_whole_group_is_stopped(installation):
    section = parsed(installation, Program("ray", ("ray", "start"), stop_s=33))["program:ray"]
    assert section["autorestart"] == "true"
    assert section["stopasgroup"] == section["killasgroup"] == "true"
    assert section["stopwaitsecs"] == "33"
    assert section["command"].endswith("-m include.quarry run-part ray")
    assert section["stdout_logfile"] == str(installation.logs / "ray.log")


def test_a_repository_in_a_folder_with_a_space_is_no_two_words(installation, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/my projects/quarry/.venv/bin/python")
    section = parsed(installation, Program("ray", ("ray", "start")))["program:ray"]
    assert shlex.split(section["command"])[:3] == [sys.executable, "-m", "include.quarry"]


def test_no_secret_is_written_into_the_configuration(installation):
    part = Program("ray", ("ray",), {"RAY_AUTH_TOKEN": "hush"})
    assert "hush" not in configuration(installation, [part])


def test_all_parts_are_one_group_so_that_they_stop_together(installation):
    conf = parsed(installation, Program("a", ("a",)), Program("b", ("b",)))
    assert conf["group:quarry"]["programs"] == "a,b"


def test_without_a_supervisor_there_is_none_to_ask(installation):
    assert supervisor_process(installation) is None
    with pytest.raises(Unavailable):
        states(installation)


def test_a_setting_that_changed_since_the_start_is_named(installation):
    class Supervisor:
        def __init__(self, **other):
            self.variables = installation.environment() | {"PATH": "/bin"} | other

        def environ(self):
            return self.variables

    assert settings_changed(installation, Supervisor()) == []
    assert settings_changed(installation, Supervisor(QUARRY_TOKEN_SECRET="old")) == ["QUARRY_TOKEN_SECRET"]


def test_logs_are_their_owners_only(installation):
    assert parsed(installation)["supervisord"]["umask"] == "077"


def test_the_pid_file_of_a_stranger_is_no_supervisor(installation):
    installation.prepare()
    installation.supervisor_pid.write_text("1")
    assert supervisor_process(installation) is None
