"""A Ray head of the benchmarks' own, started exactly as the platform starts it, with ports and a home of its own."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree

import httpx

from include.quarry.errors import Unavailable
from include.quarry.operations.health import is_healthy, wait_until
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.processes import end, processes_of
from include.quarry.operations.programs import environment_of, ray
from include.quarry.operations.serving import ServeApi, serve_document
from include.quarry.routing.scratch import remove_abandoned
from include.quarry.settings import Settings

_START_S = 240.0


def bench_settings(home: Path) -> Settings:
    """Settings with every port free now."""
    names = [name for name in Settings.model_fields if name.endswith("_port")]
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    return Settings(home=home, **ports)


@contextmanager
def ray_head(settings: Settings, *, own_session: bool = True) -> Iterator[Installation]:
    """Ray runs inside; afterwards nothing of it is left, except its logs when something failed.

    Linux may divide the processors among sessions before it looks at priorities (`sched_autogroup_enabled`, where no
    container or service divides them): then work that yields to all of its own session keeps others waiting.
    """
    installation = Installation(settings)
    rmtree(installation.sockets, ignore_errors=True)
    installation.prepare()
    part = ray(installation)
    with (installation.logs / "ray.log").open("w") as log:
        process = subprocess.Popen(
            part.command,
            env=environment_of(part, installation),
            cwd=REPOSITORY,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=own_session,
        )
        try:
            wait_until(lambda: is_healthy(part), "ray", _START_S, lambda _: None)
            yield installation
        finally:
            left = processes_of(installation)
            process.terminate()
            end(left | processes_of(installation), patience_s=15)
            process.wait()
            remove_abandoned(installation.home)
    rmtree(installation.sockets)


@contextmanager
def serving(
    settings: Settings, *names: str, beside: Mapping[str, str] | None = None, own_session: bool = True
) -> Iterator[Installation]:
    """Applications of the product's Serve configuration run inside, behind the product's ingress; `beside` them, if
    given, one that is like the first but for these fields."""
    document = serve_document(REPOSITORY / settings.serve_config, settings.host, settings.http_port)
    document["applications"] = [each for each in document["applications"] if each["name"] in names]
    if beside is not None:
        document["applications"].append({**document["applications"][0], **beside})
        names = (*names, beside["name"])
    with ray_head(settings, own_session=own_session) as installation:
        api = ServeApi(settings.ray_url, installation.ray_token)
        wait_until(lambda: _deployed(api, document), "Ray Serve's API", _START_S, lambda _: None)
        wait_until(lambda: all(_runs(api, name) for name in names), " and ".join(names), _START_S, lambda _: None)
        yield installation
        api.shut_down(12)


def _deployed(api: ServeApi, document: dict[str, object]) -> bool:
    try:
        api.deploy(document)
    except (Unavailable, httpx.HTTPError):
        return False
    return True


def _runs(api: ServeApi, application: str) -> bool:
    status = api.applications().get(application, {})
    if api.failures():
        raise Unavailable("; ".join(each["message"] for each in status["deployments"].values()))
    return status.get("status") == "RUNNING"
