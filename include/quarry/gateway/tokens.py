"""Believing tokens, or not: signature, issuer, audience, times, and then what they say about the caller."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt

from include.quarry.errors import Unauthenticated
from include.quarry.gateway.caller import Caller, caller_of

MAX_TOKEN_BYTES = 8192
_LEEWAY_S = 10
_REMEMBERED = 10_000
_REQUIRED = ["exp", "iss", "aud", "sub"]


class TokenVerifier:
    """Verifies tokens of one issuer for one audience, and remembers those it has believed until they expire.

    What is remembered is bounded, and kept by digest: no token lies in memory.
    """

    def __init__(self, *, secret: str, issuer: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._believed: dict[bytes, tuple[Caller, float]] = {}

    async def verify(self, token: bytes) -> Caller:
        """The caller that the token names. Raises `Unauthenticated`, with nothing of the token in its message."""
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(f"the token has {len(token)} bytes; allowed are {MAX_TOKEN_BYTES}")
        digest = sha256(token).digest()
        found = self._believed.get(digest)
        if found is not None and self._now() < found[1]:
            return found[0]
        claims = self._claims(token)
        caller = caller_of(claims)
        self._remember(digest, caller, claims["exp"] + _LEEWAY_S)
        return caller

    def _claims(self, token: bytes) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not accepted: {type(error).__name__}") from error
        return claims

    def _remember(self, digest: bytes, caller: Caller, until_s: float) -> None:
        while len(self._believed) >= _REMEMBERED:
            del self._believed[next(iter(self._believed))]
        self._believed[digest] = caller, until_s
