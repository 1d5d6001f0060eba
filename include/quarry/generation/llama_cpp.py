"""llama.cpp inside this process (xllamacpp): a GGUF model on the CPU, without a network port.

The engine insists on an HTTP listener; it gets a UNIX socket in a private folder that is removed at once, so nothing
can reach it. Calls go straight into the engine from a worker thread. Its threads wait asleep, not spinning: on a
machine with other work to do, spinning threads slow each other down twentyfold.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.protocol import Delta, Message, Usage

_PREFILL_TOKENS = 128
"""Tokens of a prompt read in one go: an abandoned generation stops after at most that many."""
_SILENCE_S = 30.0
"""A working engine tells of every token and of every batch of the prompt: one this long silent counts as hung.

A batch takes two seconds on two idle cores with a model of 1.5 billion parameters, and several times that on busy ones.
"""


class LlamaCppModel:
    """A GGUF model, loaded at construction. `parallel` generations run at a time, batched; more wait their turn.

    `threads` is capped at the cores this process may use: a thread more than that and the engine crawls. An engine
    that says nothing for `silence_s`, to nobody, is taken for hung: its callers are told, and need not wait.
    Raises `Misconfigured` when the file is no model that llama.cpp can load.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        threads: int = 2,
        context_tokens: int = 2048,
        parallel: int = 1,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._name = name or path.stem
        self._context_tokens = context_tokens
        threads = min(threads, len(os.sched_getaffinity(0)))
        self._server = _load(path, threads, context_tokens, parallel)
        self._pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="llama.cpp")
        self._silence_s = silence_s
        self._busy = 0
        self._counting = Lock()
        self._heard_at = time.monotonic()

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta, None]:
        """See `LanguageModel`. Raises `InvalidInput` when prompt and answer together exceed the context, and
        `Unavailable` when the engine fails or hangs.

        Every delta carries the usage so far, so that a generation closed early is accounted for too.
        """
        request = json.dumps(
            {
                "messages": [{"role": message.role, "content": message.content} for message in messages],
                "max_tokens": max_tokens,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
                "return_progress": True,
            }
        )
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[str | None] = asyncio.Queue()
        closed = Event()

        def receive(event: str) -> bool:
            self._heard_at = time.monotonic()
            if not closed.is_set():
                loop.call_soon_threadsafe(events.put_nowait, event)
            return closed.is_set()

        def generate() -> None:
            with self._counting:
                if not self._busy:  # an engine that is silent already is not heard of because one more asks
                    self._heard_at = time.monotonic()
                self._busy += 1
            try:
                if not closed.is_set():
                    self._server.handle_chat_completions(request, receive)
            finally:
                with self._counting:
                    self._busy -= 1

        def end(_: Future[None]) -> None:
            if not closed.is_set():
                loop.call_soon_threadsafe(events.put_nowait, None)

        work = self._pool.submit(generate)
        work.add_done_callback(end)  # however it ends, a failure of the engine and `close` included
        usage = Usage()
        try:
            while (event := await self._next(events)) is not None:
                before = usage
                text, usage = self._read(event, usage, max_tokens)
                if text or usage != before:
                    yield Delta(text, usage)
            self._settle(work)
            yield Delta("", usage)
        finally:
            closed.set()
            work.cancel()

    def check(self) -> None:
        """Raise `Unavailable` when the engine hangs: its threads cannot be stopped, only the process can."""
        if self._hangs:
            raise self._hung()

    def close(self) -> None:
        """Let the running generation end, and take no more."""
        self._pool.shutdown(cancel_futures=True)

    async def _next(self, events: asyncio.Queue[str | None]) -> str | None:
        """The next event, also while others have their turn, as long as the engine works for anybody."""
        while True:
            heard_at = self._heard_at if self._busy else time.monotonic()
            try:
                async with asyncio.timeout(heard_at + self._silence_s - time.monotonic()):
                    return await events.get()
            except TimeoutError:
                if self._hangs:
                    raise self._hung() from None

    @property
    def _hangs(self) -> bool:
        return self._busy > 0 and time.monotonic() - self._heard_at >= self._silence_s

    def _hung(self) -> Unavailable:
        return Unavailable(f"{self._name} has said nothing for {self._silence_s:g} s; try again, or use another tier")

    def _settle(self, work: Future[None]) -> None:
        """Raise `Unavailable` when the generation ended in an exception of the engine's own, or never had its turn."""
        try:
            work.result()
        except (RuntimeError, ValueError, CancelledError) as error:
            raise Unavailable(f"{self._name} failed: {error}; try again, or use another tier") from error

    def _read(self, event: str, usage: Usage, max_tokens: int) -> tuple[str, Usage]:
        """The text of one engine event, and the usage after it."""
        if event == "[DONE]":
            return "", usage
        body: dict[str, Any] = json.loads(event)
        if error := body.get("error"):
            raise self._error(error)
        if final := body.get("usage"):
            return "", Usage(final["prompt_tokens"], final["completion_tokens"])
        if progress := body.get("prompt_progress"):
            total = int(progress["total"])
            if total + max_tokens > self._context_tokens:
                raise InvalidInput(
                    f"the prompt has {total} tokens and the answer may have {max_tokens}; {self._name} holds "
                    f"{self._context_tokens}; give fewer or shorter passages"
                )
            return "", Usage(int(progress["processed"]), usage.completion_tokens)
        text = "".join(choice["delta"].get("content") or "" for choice in body["choices"])
        return text, Usage(usage.prompt_tokens, usage.completion_tokens + bool(text))

    def _error(self, error: dict[str, Any]) -> InvalidInput | Unavailable:
        reason = str(error.get("message", error))
        if error.get("type") == "exceed_context_size_error":
            return InvalidInput(
                f"the prompt has {error.get('n_prompt_tokens')} tokens; {self._name} holds {self._context_tokens}; "
                "give fewer or shorter passages"
            )
        return Unavailable(f"{self._name} failed: {reason}; try again, or use another tier")


def _load(path: Path, threads: int, context_tokens: int, parallel: int) -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xllamacpp  # noqa: PLC0415 (its OpenMP reads the wait policy when it is loaded, so the setting goes first)

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context_tokens * parallel
    params.n_batch = params.n_ubatch = _PREFILL_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 1
    params.n_parallel = parallel
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.fit_params = params.ui = params.endpoint_slots = False
    params.verbosity = 0
    with tempfile.TemporaryDirectory(prefix="quarry-") as folder:
        params.hostnames = [str(Path(folder) / "engine.sock")]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise Misconfigured(f"{path} cannot be loaded: {error}; it must be a GGUF chat model") from error
