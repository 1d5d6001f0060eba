"""Ray Serve's applications, steered over the dashboard's REST API as `serve deploy` does, so without importing Ray."""

import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import yaml

from include.quarry.errors import Misconfigured, Unavailable

_PATH = "/api/serve/applications/"
_KEEP_INTERVAL_S = 3.0
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (only where the settings name an address that others reach)


def serve_document(config: Path, host: str, port: int) -> dict[str, Any]:
    """The Serve configuration of `config`, listening where the settings say. Raises `Misconfigured`.

    Replicas bind to this host too, while the ingress reaches those of its own node by loopback, and other nodes have
    another address: so Serve gets loopback or every address (ray/serve/_private/haproxy.py and controller.py).
    """
    try:
        document = yaml.safe_load(config.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(f"{config} cannot be read: {error}; QUARRY_SERVE_CONFIG names the file") from error
    if not isinstance(document, dict) or not document.get("applications"):
        raise Misconfigured(f"{config} lists no applications; see ray_apps/config/serve.local.yaml")
    listening = {"host": host if ip_address(host).is_loopback else _EVERY_ADDRESS, "port": port}
    document["http_options"] = (document.get("http_options") or {}) | listening
    return document


class ServeApi:
    """The REST API of Serve behind Ray's dashboard at `url`; `token` is the one the cluster was started with."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=15, trust_env=False
        )

    def deploy(self, document: dict[str, Any]) -> None:
        """Ask Serve to run exactly what `document` says. Raises `Misconfigured` when it refuses for good."""
        response = self._client.put(_PATH, json=document, timeout=120)
        if response.is_server_error:
            raise Unavailable(f"Ray Serve cannot deploy yet ({response.status_code}): {response.text[-500:]}")
        if response.is_error:
            raise Misconfigured(f"Ray Serve refuses the configuration ({response.status_code}): {response.text[:2000]}")

    def applications(self) -> dict[str, dict[str, Any]]:
        """What Serve says about each application, by name. Raises `Unavailable` while Ray does not answer."""
        try:
            response = self._client.get(_PATH).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"Ray Serve does not answer at {self._client.base_url}: {error}") from error
        found: dict[str, dict[str, Any]] = response.json().get("applications", {})
        return found

    def failures(self) -> list[str]:
        """Why applications cannot be deployed, one sentence each."""
        return _failures(self.applications())

    def shut_down(self, timeout_s: float) -> bool:
        """Ask Serve to end its applications and its ingress; whether it answered in time."""
        try:
            return self._client.delete(_PATH, timeout=timeout_s).is_success
        except httpx.HTTPError:
            return False


def keep_serving(api: ServeApi, document: dict[str, Any]) -> None:
    """Deploy `document` whenever an application of it is missing: at first, and after Ray was started anew."""
    told: list[str] = []
    while True:
        try:
            told = look_after(api, document, told)
        except (Unavailable, httpx.HTTPError) as error:
            print(f"waiting for Ray: {error}", flush=True)
        time.sleep(_KEEP_INTERVAL_S)


def look_after(api: ServeApi, document: dict[str, Any], told: list[str]) -> list[str]:
    """Deploy what is missing, and print why applications fail unless it was told already; returns the reasons."""
    wanted = {application["name"] for application in document["applications"]}
    applications = api.applications()
    if not wanted <= applications.keys():
        print(f"deploying {', '.join(sorted(wanted))}", flush=True)
        api.deploy(document)
    failures = _failures(applications)
    for failure in failures:
        if failure not in told:
            print(failure, flush=True)
    return failures


def _failures(applications: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"application {name} is {application['status']}: {application.get('message', '')}"
        for name, application in applications.items()
        if application["status"] == "DEPLOY_FAILED"
    ]
