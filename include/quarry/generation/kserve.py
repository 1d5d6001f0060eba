"""A model on Triton, or on any server with the generate extension of KServe's v2 protocol.

See https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md. The model takes the
tensors `text_input` and `max_tokens`, and streams `text_output`; where it also sends `prompt_tokens` and
`completion_tokens`, those are the usage.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.prompt import estimate_tokens
from include.quarry.generation.protocol import Delta, Message, Usage, as_count


class KServeModel:
    """One model of a server at `base_url` (without its `/v2`). `timeout_s` bounds connecting and each wait for text.

    The protocol knows texts and no chats, so turns are written in ChatML, as Qwen and SmolLM2 read them.
    """

    def __init__(self, base_url: str, *, model: str, timeout_s: float = 30.0) -> None:
        self._model = model
        self._url = f"{base_url.rstrip('/')}/v2/models/{model}/generate_stream"
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=False)

    @property
    def name(self) -> str:
        return self._model

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta, None]:
        """See `LanguageModel`. Raises `Unavailable` on silence, 429, 5xx, errors midway and garbled streams,
        `InvalidInput` when the server does not accept the prompt, and `Misconfigured` for a wrong URL or model."""
        prompt = chat_ml(messages)
        usage = Usage(estimate_tokens(prompt), 0)
        request = {"text_input": prompt, "max_tokens": max_tokens}
        try:
            async with self._client.stream("POST", self._url, json=request) as response:
                if response.is_error:
                    raise self._refusal(response.status_code)
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    event = json.loads(line.removeprefix("data:"))
                    if failure := event.get("error"):
                        raise Unavailable(f"{self._where} failed midway: {str(failure)[:200]}; use another tier")
                    text = str(event.get("text_output", ""))
                    usage = _used(event, usage, bool(text))
                    if text:
                        yield Delta(text, usage)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError, TypeError) as error:
            raise Unavailable(f"{self._where}: {type(error).__name__}; the server is down, silent or garbled") from None
        yield Delta("", usage)

    def check(self) -> None:
        """A server elsewhere looks after itself."""

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    @property
    def _where(self) -> str:
        return f"{self._model} at {self._url}"

    def _refusal(self, status: int) -> InvalidInput | Misconfigured | Unavailable:
        if status in (408, 429) or status >= 500:
            return Unavailable(f"{self._where} answered {status}; try again, or use another tier")
        if status in (413, 422):
            return InvalidInput(f"{self._where} answered {status}: the prompt was not accepted; give fewer passages")
        return Misconfigured(f"{self._where} answered {status}; check the URL, the model's name and its tensors")


def chat_ml(messages: Sequence[Message]) -> str:
    """The conversation in ChatML, up to where the assistant begins."""
    turns = "".join(f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in messages)
    return f"{turns}<|im_start|>assistant\n"


def _used(event: dict[str, Any], before: Usage, said: bool) -> Usage:
    """What the server counted or, where it sends no count, what was estimated and one token a piece of text."""
    prompt = as_count(event.get("prompt_tokens"))
    completion = as_count(event.get("completion_tokens"))
    return Usage(
        before.prompt_tokens if prompt is None else prompt,
        before.completion_tokens + said if completion is None else completion,
    )
