"""A client that costs little: raw HTTP/1.1 over connections that stay open, in a process of its own.

The process reads one order a line as JSON and answers each with one line of results, so that nothing is started or
imported while a server is measured.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlsplit

import uvloop


@dataclass(frozen=True, slots=True)
class Order:
    """Ask `url` the bodies in turn over `connections` connections for `seconds`, showing the token if there is one.

    Unless `cached`, past any cache.
    """

    url: str
    connections: int
    seconds: float
    bodies: list[str]
    token: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What came of an order. Latencies in milliseconds; `cpu_s` is the client's own."""

    requests: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Client:
    """The other process, as its parent sees it."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.benchmarks.client"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def load(self, order: Order) -> Load:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asdict(order)), file=self._process.stdin, flush=True)
        return Load(**json.loads(self._process.stdout.readline()))


async def carry_out(order: Order) -> Load:
    target = urlsplit(order.url)
    requests = [_request(target.netloc, target.path, body, order) for body in order.bodies]
    latencies_ms: list[float] = []
    failures = [0]
    started, cpu = time.perf_counter(), time.process_time()
    until = started + order.seconds

    async def converse(first: int) -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        turn = first
        while (sent := time.perf_counter()) < until:
            writer.write(requests[turn % len(requests)])
            try:
                status = await _status(reader)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                # haproxy lets go of its connections when it is told of other replicas
                reader, writer = await asyncio.open_connection(target.hostname, target.port)
                continue
            if status == b"200":
                latencies_ms.append((time.perf_counter() - sent) * 1000)
            else:
                failures[0] += 1
            turn += 1
        writer.close()

    step = max(1, len(requests) // order.connections)
    await asyncio.gather(*(converse(number * step) for number in range(order.connections)))
    seconds = time.perf_counter() - started
    latencies_ms.sort()
    p50, p99 = (latencies_ms[int(len(latencies_ms) * share)] if latencies_ms else 0.0 for share in (0.5, 0.99))
    return Load(len(latencies_ms), failures[0], seconds, p50, p99, time.process_time() - cpu)


def _request(host: str, path: str, body: str, order: Order) -> bytes:
    content = body.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    if order.token:
        head += f"\r\nAuthorization: Bearer {order.token}"
    if not order.cached:
        head += "\r\nCache-Control: no-store"
    return f"{head}\r\n\r\n".encode() + content


async def _status(reader: asyncio.StreamReader) -> bytes:
    """Read one response to its end, whichever way its length is told."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(head[at + 15 : head.index(b"\r\n", at)]))
    else:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    return head.split(b" ", 2)[1]


def main(orders: Sequence[str]) -> None:
    for line in orders:
        print(json.dumps(asdict(uvloop.run(carry_out(Order(**json.loads(line)))))), flush=True)


if __name__ == "__main__":
    main(sys.stdin)  # type: ignore[arg-type]
