"""The public keys of whoever signs tokens (RFC 7517), kept while their host is away and fetched anew when they change.

A request whose key is known never waits for the host. A key id that nobody knows makes one fetch at most every
`PAUSE_S` seconds, however many requests name one, so nobody can hammer the host through us.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import jwt

from include.quarry.errors import Unavailable
from include.quarry.gateway.jwks import read_keys

logger = logging.getLogger(__name__)
Fetch = Callable[[], Awaitable[bytes]]
"""Gives the JWKS document; raises `OSError` or `ValueError` when it cannot be had."""
PAUSE_S = 5.0
MAX_AGE_S = 300.0
"""How long a key that its owner took back may still be believed, while the host answers."""


class KeySet:
    """Keys by their id. Belongs to one event loop. `revision` grows when a key was taken back or changed."""

    def __init__(self, fetch: Fetch, *, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._failure = ""
        self._next_try_s = self._due_s = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self.revision = 0

    async def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key, or None if its owner does not have it. Without an id, the only key, if there is but one.

        Raises `Unavailable` when the key is not known and its owner cannot be asked now.
        """
        self.keep_fresh()
        key = self._known(key_id)
        if key is not None:
            return key
        if self._fetching is None and self._now() >= self._next_try_s:
            self._start()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        key = self._known(key_id)
        if key is None and self._failure:
            raise Unavailable(f"the key of this token cannot be fetched now ({self._failure}); try again shortly")
        return key

    def keep_fresh(self) -> None:
        """Start a fetch in the background when the keys are old; cheap enough for every request."""
        now = self._now()
        if now >= self._due_s and now >= self._next_try_s and self._fetching is None:
            self._start()

    def _known(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _start(self) -> None:
        self._next_try_s = self._now() + PAUSE_S
        self._fetching = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            keys = await asyncio.to_thread(read_keys, await self._fetch())
        except (OSError, ValueError) as error:
            if not self._failure:
                logger.warning("keys of tokens cannot be fetched (%s); %d known ones go on", error, len(self._keys))
            self._failure = str(error) or type(error).__name__
        else:
            if any(not _same(key, keys.get(key_id)) for key_id, key in self._keys.items()):
                self.revision += 1
            if self._failure or keys.keys() != self._keys.keys():
                logger.info("%d keys of tokens are known now", len(keys))
            self._keys, self._failure, self._due_s = keys, "", self._now() + MAX_AGE_S
        finally:
            self._fetching = None


def _same(ours: jwt.PyJWK, theirs: jwt.PyJWK | None) -> bool:
    return theirs is not None and ours.algorithm_name == theirs.algorithm_name and ours.key == theirs.key
