"""A chat server in a process of its own that says a text word by word at an even pace: `python -m … PORT PACE_S TEXT`.

As exact as a clock, so that what a path adds to it can be told in milliseconds. It stops when its reader hangs up.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import free_port


@contextmanager
def paced_engine(text: str, pace_s: float) -> Iterator[str]:
    """The URL of the server, with its `/v1`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.servers.paced_engine", str(port), str(pace_s), text]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionError:
            continue
        return
    raise RuntimeError("the paced engine ended before it began")


async def serve(port: int, pace_s: float, text: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                lengths = [line for line in head.splitlines() if line.startswith("content-length")]
                await reader.readexactly(int(lengths[0].split(":")[1]))
                await speak(writer, pace_s, text.split(" "))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    await server.serve_forever()


async def speak(writer: asyncio.StreamWriter, pace_s: float, words: list[str]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    due = asyncio.get_running_loop().time()
    for word in words:
        due += pace_s
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        writer.write(_chunk(_event([{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}], None)))
        await writer.drain()
    usage = {"prompt_tokens": 100, "completion_tokens": len(words), "total_tokens": 100 + len(words)}
    writer.write(_chunk(_event([], usage)) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()


def _event(choices: list[object], usage: object) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "paced"}
    return f"data: {json.dumps(body | {'choices': choices, 'usage': usage})}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
