"""Believing tokens, or not: signature, issuer, audience, times, and then what they say about the caller."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt

from include.quarry.errors import Unauthenticated
from include.quarry.gateway.caller import Caller, caller_of
from include.quarry.gateway.key_set import KeySet

MAX_TOKEN_BYTES = 8192
LEEWAY_S = 10
_REMEMBERED = 10_000
_FOR_EVER_S = 2**52
_REQUIRED = ["exp", "iss", "aud", "sub"]
_REASONS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "another issuer made it",
    jwt.InvalidSignatureError: "its signature is not right",
    jwt.InvalidAlgorithmError: "its algorithm is not allowed for its key",
}


class TokenVerifier:
    """Verifies tokens of one issuer for one audience, and remembers those it has believed until they expire.

    HS256 needs the secret, RS256 and ES256 a key of the key set; each may be missing. What is remembered is bounded,
    and kept by digest: no token lies in memory. When a key is taken back, nothing is remembered any more.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        secret: str = "",
        key_set: KeySet | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._secret = secret
        self._key_set = key_set
        self._now = now
        self._revision = 0
        self._believed: dict[bytes, tuple[Caller, float]] = {}

    async def verify(self, token: bytes) -> Caller:
        """The caller that the token names.

        Raises `Unauthenticated`, with nothing of the token in its message, and `Unavailable` while its key cannot be
        fetched.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated(f"the token has {len(token)} bytes; allowed are {MAX_TOKEN_BYTES}")
        if self._key_set is not None:
            self._follow(self._key_set)
        digest = sha256(token).digest()
        found = self._believed.get(digest)
        if found is not None and self._now() < found[1]:
            return found[0]
        claims = await self._claims(token)
        caller = caller_of(claims)
        self._remember(digest, caller, _expiry_s(claims))
        return caller

    async def _claims(self, token: bytes) -> dict[str, Any]:
        try:
            key, algorithm = await self._key(jwt.get_unverified_header(token))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token is not accepted: it has no claim {error.claim!r}") from error
        except jwt.PyJWTError as error:
            reason = _REASONS.get(type(error), "it is no JSON Web Token")
            raise Unauthenticated(f"the token is not accepted: {reason}; `make token` prints one") from error
        return claims

    async def _key(self, header: dict[str, Any]) -> tuple[Any, str]:
        """The key that the header names, and the one algorithm that it is bound to."""
        if header.get("alg") == "HS256" and self._secret:
            return self._secret, "HS256"
        if header.get("alg") in ("RS256", "ES256") and self._key_set is not None:
            key = await self._key_set.find(header.get("kid"))
            if key is None:
                raise Unauthenticated("the token is not accepted: its issuer has no key of that id")
            return key, key.algorithm_name
        raise jwt.InvalidAlgorithmError

    def _follow(self, key_set: KeySet) -> None:
        key_set.keep_fresh()
        if key_set.revision != self._revision:
            self._revision = key_set.revision
            self._believed.clear()

    def _remember(self, digest: bytes, caller: Caller, until_s: float) -> None:
        while len(self._believed) >= _REMEMBERED:
            del self._believed[next(iter(self._believed))]
        self._believed[digest] = caller, until_s


def _expiry_s(claims: dict[str, Any]) -> float:
    """Until when the token holds; PyJWT has read `exp` as a whole number, whatever it was, and so do we."""
    return min(int(claims["exp"]), _FOR_EVER_S) + LEEWAY_S
