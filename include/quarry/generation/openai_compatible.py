"""Any server that speaks OpenAI's chat protocol: vLLM, BentoML, Triton, llama.cpp, or OpenAI itself."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import openai

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.generation.protocol import Delta, Message, Usage, as_count

_RETRY_AFTER_S = 2
_RETRY_AFTER_MAX_S = 300


class OpenAICompatibleModel:
    """One model of a server at `base_url` (with its `/v1`). `timeout_s` bounds connecting and each wait for more text.

    A client belongs to the event loop that first uses it. The key travels in the request's header and nowhere else.
    """

    def __init__(self, base_url: str, *, model: str, key: str = "", timeout_s: float = 30.0) -> None:
        self._model = model
        self._url = base_url
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=key or "none", timeout=timeout_s, max_retries=0)

    @property
    def name(self) -> str:
        return self._model

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta, None]:
        """See `LanguageModel`. Raises `Unavailable` on silence, refusal, 429, 5xx and garbled streams, `InvalidInput`
        when the server finds the prompt too long, and `Misconfigured` when it rejects the key, the model or the URL.

        A server that does not tell what was used leaves it to the reader to estimate.
        """
        usage: Usage | None = None
        try:
            stream = await self._client.chat.completions.create(
                model=self._model,
                messages=cast(Any, [{"role": message.role, "content": message.content} for message in messages]),
                max_tokens=max_tokens,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    usage = _told(chunk.usage) or usage
                    if text := "".join(choice.delta.content or "" for choice in chunk.choices or ()):
                        yield Delta(text)
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except (openai.APIError, ValueError, AttributeError, TypeError) as error:
            # The client builds chunks without checking them: a garbled one fails where it is read.
            raise Unavailable(
                f"{self._model} at {self._url}: {type(error).__name__}; the server is down, silent or garbled",
                retry_after_s=_RETRY_AFTER_S,
            ) from None
        if usage is not None:
            yield Delta("", usage)

    def check(self) -> None:
        """The server is looked after where it runs."""

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()

    def _refusal(self, error: openai.APIStatusError) -> InvalidInput | Misconfigured | Unavailable:
        status = error.status_code
        where = f"{self._model} at {self._url} answered {status}"
        if status in (408, 409, 425, 429) or status >= 500:
            return Unavailable(f"{where}; try again, or use another tier", retry_after_s=_retry_after_s(error))
        if status in (400, 413, 422):
            return InvalidInput(f"{where}: the prompt was not accepted; give fewer or shorter passages")
        return Misconfigured(f"{where}; check the URL, the model's name and the key")


def _told(usage: object) -> Usage | None:
    """The server's counts, where it tells both."""
    prompt = as_count(getattr(usage, "prompt_tokens", None))
    completion = as_count(getattr(usage, "completion_tokens", None))
    return None if prompt is None or completion is None else Usage(prompt, completion)


def _retry_after_s(error: openai.APIStatusError) -> int:
    """What the server asks for in whole seconds, bounded; two where it says nothing usable."""
    asked = error.response.headers.get("retry-after", "")
    return min(max(int(asked), 1), _RETRY_AFTER_MAX_S) if asked.isdigit() else _RETRY_AFTER_S
