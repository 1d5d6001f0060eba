"""Lets whoever makes events go on however slowly they are taken."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TypeVar

Event = TypeVar("Event")


async def read_ahead(
    events: AsyncGenerator[Event], *, idle: Callable[[], Event | None] | None = None, idle_s: float | None = None
) -> AsyncGenerator[Event]:
    """The events, made in a task of their own; what `idle` gives, if anything, whenever nothing came for `idle_s`.

    There is no bound on how far ahead it reads: meant for a few events, such as the sentences of an answer. Closing
    this closes `events` at once, wherever it is.
    """
    made: asyncio.Queue[tuple[Event] | None] = asyncio.Queue()

    async def make() -> None:
        try:
            async for event in events:
                made.put_nowait((event,))
        finally:
            made.put_nowait(None)
            await events.aclose()

    work = asyncio.create_task(make())
    try:
        while True:
            try:
                async with asyncio.timeout(idle_s if idle else None):
                    item = await made.get()
            except TimeoutError:
                assert idle is not None  # noqa: S101 - there is no timeout without it
                if (event := idle()) is not None:
                    yield event
                continue
            if item is None:
                break
            yield item[0]
        await work  # raises what ended it
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
