import stat
import subprocess

import pytest

from include.quarry.errors import NotFound
from include.quarry.operations.installation import MARK, Installation
from include.quarry.operations.programs import environment_of, haproxy_wrapper, program, programs_of
from include.quarry.settings import Settings


@pytest.fixture(autouse=True)
def prepared(installation):
    installation.prepare()


def test_the_parts_start_in_this_order(installation):
    names = [part.name for part in programs_of(installation)]
    assert names[:2] == ["ray", "mlflow"]
    assert names[-1] == "serve"
    assert {"airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"} < set(names)


def test_an_unknown_part_is_refused_with_the_known_ones(installation):
    with pytest.raises(NotFound, match="airflow-scheduler"):
        program(installation, "cassandra")


def test_every_server_is_told_to_bind_to_the_host(installation):
    commands = {part.name: " ".join(part.command) for part in programs_of(installation)}
    assert "--host 127.0.0.1" in commands["mlflow"]
    assert "--host 127.0.0.1" in commands["airflow-api"]
    assert "--node-ip-address=127.0.0.1" in commands["ray"]
    assert "--dashboard-host=127.0.0.1" in commands["ray"]


def test_every_process_carries_the_mark_of_its_installation_and_its_part(installation):
    for part in programs_of(installation):
        environment = environment_of(part, installation)
        assert environment[MARK] == str(installation.home)
        assert environment["QUARRY_PART"] == part.name
        assert environment["OMP_NUM_THREADS"] == "1"


def test_ray_asks_for_this_installations_token_and_everybody_is_given_it(installation):
    for part in programs_of(installation):
        environment = environment_of(part, installation)
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"] == installation.ray_token
    assert program(installation, "ray").health_token == installation.ray_token


def test_ray_keeps_a_loopback_address_and_trades_no_other(tmp_path):
    for host, keeps in (("127.0.0.1", "0"), ("10.0.0.5", "1")):
        there = Installation(Settings(home=tmp_path, host=host, _env_file=None))
        assert program(there, "ray").environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == keeps


def test_airflow_is_small_and_has_a_long_secret_of_its_own(installation):
    environment = program(installation, "airflow-scheduler").environment
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "4"
    assert len(environment["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8080/execution/"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


def test_the_wrapper_moves_haproxys_statistics_to_the_host_and_nothing_else(installation, tmp_path, monkeypatch):
    fake = tmp_path / "a folder" / "fake-haproxy"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(stat.S_IRWXU)
    monkeypatch.setattr("include.quarry.operations.programs._bundled_haproxy", lambda: fake)
    config = tmp_path / "haproxy.cfg"
    config.write_text("    bind :9101\n  bind *:8404\n    bind 127.0.0.1:8000\n    bind *:8000 proto h2\n")
    wrapper = haproxy_wrapper(installation)
    done = subprocess.run([wrapper, "-db", "-f", config, "-sf", "1"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"-db -f {config} -sf 1"
    assert config.read_text().splitlines() == [
        "    bind 127.0.0.1:9101",
        "  bind 127.0.0.1:8404",
        "    bind 127.0.0.1:8000",
        "    bind *:8000 proto h2",
    ]


@pytest.mark.parametrize(
    ("ports", "lowest", "highest"),
    [
        ({}, 10_002, 32_767),
        ({"http_port": 18_000, "airflow_port": 18_080}, 18_081, 32_767),
        ({"http_port": 30_000, "ray_client_port": 11_001}, 11_002, 29_999),
    ],
)
def test_rays_workers_have_none_of_the_ports_that_are_given_to_others(tmp_path, ports, lowest, highest):
    there = Installation(Settings(home=tmp_path, _env_file=None, **ports))
    assert {f"--min-worker-port={lowest}", f"--max-worker-port={highest}"} <= set(program(there, "ray").command)
