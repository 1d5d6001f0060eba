"""How the platform is: each part's pid, port, health and memory; then versions, routes and lag."""

from typing import Any

import httpx
import psutil
from rich.table import Table

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.gateway.composition import bearer, own_token
from include.quarry.operations import supervision
from include.quarry.operations.health import is_healthy
from include.quarry.operations.installation import Installation
from include.quarry.operations.processes import processes_of, resident_bytes
from include.quarry.operations.programs import Program, programs_of
from include.quarry.operations.progress import console

_MIB = 2**20


def status(installation: Installation) -> bool:
    """Print the tables; whether every part is healthy."""
    parts = programs_of(installation)
    try:
        states = {state.name: state for state in supervision.states(installation)}
    except Unavailable:
        states = {}
    table = Table(box=None, header_style="bold")
    for name in ("part", "state", "healthy", "memory MiB", "pid", "port"):
        table.add_column(name, justify="left" if name in ("part", "state", "healthy") else "right")
    healthy = [_add_row(table, installation, part, states.get(part.name)) for part in parts]
    supervisor = supervision.supervisor_process(installation)
    all_memory = _mebibytes(resident_bytes(processes_of(installation)))
    table.add_row("supervisor and all", "", "", all_memory, str(supervisor.pid if supervisor else "-"), "")
    console.print(table)
    console.print(f"home {installation.home}   logs {installation.logs}\n")
    for line in corpus_report(installation):
        console.print(line, markup=False)
    print_addresses(installation)
    return all(healthy)


def corpus_report(installation: Installation) -> list[str]:
    """What the HTTP API says about the corpus: versions, lag and quarantine, a line each."""
    url = f"{installation.settings.http_url}/v1/status"
    try:
        shown = bearer(own_token(installation.settings, "default", "retrieve"))
        document: dict[str, Any] = httpx.get(url, headers=shown, timeout=10, trust_env=False).raise_for_status().json()
    except (httpx.HTTPError, ValueError, Misconfigured) as error:
        return [f"the HTTP API does not answer at {url}: {error}"]
    versions, quarantine = document.pop("versions", []), document.pop("quarantine", [])
    feeds = document.pop("feeds", [])
    lines = ["   ".join(f"{name} {value}" for name, value in document.items())]
    lines += ["   ".join(f"{name} {value}" for name, value in version.items()) for version in versions]
    lines += ["   ".join(f"{name} {value}" for name, value in feed.items()) for feed in feeds]
    return lines + ["quarantined " + "   ".join(map(str, item.values())) for item in quarantine]


def print_addresses(installation: Installation) -> None:
    """The four pages, and how to log in."""
    settings = installation.settings
    console.print("[bold]pages[/]")
    console.print(f"  HTTP API  {settings.http_url}/docs")
    console.print(f"  Airflow   {settings.airflow_url}   user admin, password in {installation.airflow_passwords}")
    console.print(f"  Ray       {settings.ray_url}   token in {installation.run / 'ray.secret'}")
    console.print(f"  MLflow    {settings.mlflow_url}   no login")


def _add_row(table: Table, installation: Installation, part: Program, state: supervision.PartState | None) -> bool:
    healthy = is_healthy(part)
    table.add_row(
        part.name,
        state.state.lower() if state else "not running",
        "[green]yes[/]" if healthy else "[red]no[/]",
        _mebibytes(resident_bytes(_tree(state.pid) if state and state.pid else ())),
        str(state.pid) if state and state.pid else "-",
        str(part.port) if part.port else "-",
    )
    return healthy


def _tree(pid: int) -> set[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return {parent, *parent.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:,.0f}"
