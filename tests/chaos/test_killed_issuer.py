"""The host of the key set dies while tokens are shown: nobody known is turned away, and it is found again by itself."""

import asyncio
import time

import httpx
import pytest

from include.quarry.gateway.composition import bearer
from include.quarry.gateway.jwks import JwksUrl
from include.quarry.gateway.key_set import KeySet
from tests.servers.jwks import Issuer, ec_key, public_jwk, rsa_key, signed
from tests.unit.gateway.test_http import Platform, assert_problem, client_of

pytestmark = pytest.mark.chaos
_PATIENCE_S = 60.0
OLD, NEW = rsa_key(), ec_key()


async def ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/retrieve", json={"query": "x"}, headers=bearer(token))


async def test_an_issuer_killed_in_mid_flight_costs_no_known_caller_and_comes_back() -> None:
    issuer = Issuer()
    issuer.publish(public_jwk(OLD, "old"))
    client = client_of(Platform(), key_set=KeySet(JwksUrl(issuer.url)))
    assert (await ask(client, signed(OLD, "old"))).status_code == 200
    stop, answered = asyncio.Event(), 0

    async def callers() -> None:
        """Fresh tokens all the time, so that each is verified; of a key that is known."""
        nonlocal answered
        while not stop.is_set():
            assert (await ask(client, signed(OLD, "old", jti=str(answered)))).status_code == 200
            answered += 1
            await asyncio.sleep(0)  # nothing in it waits, so that the others would never have their turn

    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(callers())
        while answered < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.to_thread(issuer.stop)
        while (refused := await ask(client, signed(NEW, "new"))).status_code == 401:  # noqa: ASYNC110 - not asked again yet
            await asyncio.sleep(0.05)
        assert_problem(refused, 503)
        assert int(refused.headers["retry-after"]) > 0
        issuer.publish(public_jwk(OLD, "old"), public_jwk(NEW, "new"))
        issuer.start()
        back = time.monotonic()
        while (await ask(client, signed(NEW, "new"))).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        print(f"found again after {time.monotonic() - back:.1f} s, {answered} callers answered meanwhile")
        stop.set()
    issuer.stop()
