"""What Ray's agent of this node exports: its own metrics, Serve's and Quarry's. Anybody may ask for it."""

import asyncio
import ssl
import time

import httpx

from include.quarry.errors import Unavailable

_TIMEOUT_S = 5.0
_FRESH_FOR_S = 1.0


class AgentMetrics:
    """The text at `address`, plain http, fetched once for all who ask within `fresh_for_s`. For one event loop."""

    def __init__(self, address: str, *, fresh_for_s: float = _FRESH_FOR_S) -> None:
        self._address = address
        self._fresh_for_s = fresh_for_s
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading whom to trust takes 45 ms, and there is no TLS here
        self._client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S, verify=nobody)
        self._fetch: asyncio.Task[str] | None = None
        self._fresh_until = 0.0

    async def text(self) -> str:
        """In Prometheus' format. Raises `Unavailable` where the agent does not answer."""
        if self._fetch is None or (self._fetch.done() and time.monotonic() >= self._fresh_until):
            self._fetch = asyncio.create_task(self._fetched())
        return await asyncio.shield(self._fetch)  # whoever leaves does not stop it for the others

    async def _fetched(self) -> str:
        try:
            return (await self._client.get(self._address)).raise_for_status().text
        except httpx.HTTPError as error:
            raise Unavailable(f"Ray's metrics agent does not answer at {self._address}: {error}") from error
        finally:
            self._fresh_until = time.monotonic() + self._fresh_for_s
