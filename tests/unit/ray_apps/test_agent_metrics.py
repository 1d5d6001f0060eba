"""The metrics of Ray's agent are fetched once for many who ask, by one client, and asked for again in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from include.quarry.errors import Unavailable
from ray_apps.gateway.agent_metrics import AgentMetrics


@dataclass
class Agent:
    """Stands for Ray's: a server of HTTP on a port of its own."""

    status: int = 200
    asked: int = 0
    address: str = ""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        await self.goes_on.wait()
        body = f"asked {self.asked}".encode()
        writer.write(
            b"HTTP/1.1 %d Such\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (self.status, len(body), body)
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    server = await asyncio.start_server(agent.handle, "127.0.0.1", 0)
    agent.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    yield agent
    server.close()


async def test_all_who_ask_within_a_moment_are_answered_by_one_look() -> None:
    async with running(Agent()) as agent:
        metrics = AgentMetrics(agent.address, fresh_for_s=600)
        asking = [asyncio.create_task(metrics.text()) for _ in range(20)]
        leaves = asking.pop(0)
        await asyncio.sleep(0)
        leaves.cancel()
        agent.goes_on.set()
        assert set(await asyncio.gather(*asking)) == {"asked 1"}
        assert await metrics.text() == "asked 1"


async def test_what_is_older_than_that_is_asked_for_again_by_the_same_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Agent()) as agent:
        agent.goes_on.set()
        metrics = AgentMetrics(agent.address, fresh_for_s=0)
        monkeypatch.setattr(httpx, "AsyncClient", None)
        assert [await metrics.text() for _ in range(3)] == ["asked 1", "asked 2", "asked 3"]


async def test_an_agent_that_fails_is_unavailable_and_is_asked_again() -> None:
    async with running(Agent(status=500)) as agent:
        agent.goes_on.set()
        metrics = AgentMetrics(agent.address, fresh_for_s=0)
        with pytest.raises(Unavailable, match="does not answer at"):
            await metrics.text()
        agent.status = 200
        assert await metrics.text() == "asked 2"
    with pytest.raises(Unavailable):
        await metrics.text()
