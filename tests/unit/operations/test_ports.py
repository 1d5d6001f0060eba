import errno
import os
import socket

import pytest

from include.quarry.errors import Conflict, Misconfigured
from include.quarry.operations import ports as module
from include.quarry.operations.ports import Port, is_taken, ports_of, require_free
from include.quarry.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_port_of_the_settings_is_known_with_the_variable_that_moves_it():
    ports = {port.variable: port.number for port in ports_of(Settings(_env_file=None))}
    assert ports["QUARRY_HTTP_PORT"] == 8000
    assert ports["QUARRY_HAPROXY_STATS_PORT"] == 8404
    assert len(ports) == sum(name.endswith("_port") for name in Settings.model_fields)


def test_default_ports_are_all_different():
    numbers = [port.number for port in ports_of(Settings(_env_file=None))]
    assert len(numbers) == len(set(numbers))


def test_a_taken_port_is_refused_with_its_holder_and_its_variable(taken_port):
    with pytest.raises(Conflict) as refusal:
        require_free([Port(taken_port, "HTTP API", "QUARRY_HTTP_PORT")], "127.0.0.1")
    for part in (str(taken_port), "HTTP API", "QUARRY_HTTP_PORT", f"pid {os.getpid()}"):
        assert part in str(refusal.value)


def test_all_taken_ports_are_named_at_once(taken_port):
    twice = [Port(taken_port, "one", "QUARRY_A_PORT"), Port(free_port(), "free", "QUARRY_B_PORT")]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        twice.append(Port(other.getsockname()[1], "three", "QUARRY_C_PORT"))
        with pytest.raises(Conflict) as refusal:
            require_free(twice, "127.0.0.1")
    assert "QUARRY_A_PORT" in str(refusal.value)
    assert "QUARRY_B_PORT" not in str(refusal.value)
    assert "QUARRY_C_PORT" in str(refusal.value)


def test_a_port_asked_for_twice_is_refused_before_anything_starts():
    number = free_port()
    with pytest.raises(Conflict, match="QUARRY_A_PORT and by QUARRY_B_PORT"):
        require_free([Port(number, "one", "QUARRY_A_PORT"), Port(number, "two", "QUARRY_B_PORT")], "127.0.0.1")


def test_a_listener_on_loopback_takes_the_port_also_for_every_address(taken_port):
    assert is_taken(taken_port, "0.0.0.0")
    assert is_taken(taken_port, "127.0.0.1")


def test_free_ports_pass():
    require_free([Port(free_port(), "one", "QUARRY_A_PORT")], "127.0.0.1")


def test_an_address_of_another_machine_is_not_a_taken_port():
    elsewhere = "192.0.2.7"  # kept for documentation, RFC 5737
    with pytest.raises(Misconfigured, match=r"QUARRY_HOST=192\.0\.2\.7"):
        require_free([Port(free_port(), "one", "QUARRY_A_PORT")], elsewhere)
    assert not is_taken(free_port(), elsewhere)


def test_a_port_that_only_root_may_open_is_not_a_taken_port(monkeypatch):
    monkeypatch.setattr(module, "_refusal", lambda port, _address: errno.EACCES if port else None)
    with pytest.raises(Misconfigured, match="QUARRY_A_PORT=80"):
        require_free([Port(80, "one", "QUARRY_A_PORT")], "127.0.0.1")
