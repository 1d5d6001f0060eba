"""Where key sets come from, a URL or a file, and which of the keys in them may verify tokens."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import jwt

from include.quarry.errors import Misconfigured

logger = logging.getLogger(__name__)
_BOUND = {"RSA None": "RS256", "EC P-256": "ES256"}
"""The algorithm that each type and curve of key is bound to; a token cannot choose another."""
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048  # RFC 7518, section 3.3
_PATIENCE_S = 3.0
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class JwksUrl:
    """Fetches a key set over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=_PATIENCE_S)  # made now: it reads certificates, which takes its time

    async def __call__(self) -> bytes:
        """The document. Raises `OSError` or `ValueError` when it is not there in time or too large."""
        try:
            async with asyncio.timeout(_PATIENCE_S), self._client.stream("GET", self._url) as response:
                response.raise_for_status()
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise ValueError(f"{self._url} gave more than {_MAX_BYTES} bytes")
        except httpx.HTTPError as error:
            raise OSError(f"{self._url}: {type(error).__name__} {error}") from error
        return body


class JwksFile:
    """Reads a key set from a file, again whenever it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __call__(self) -> bytes:
        """The document. Raises `OSError` when it cannot be read."""
        return await asyncio.to_thread(self._path.read_bytes)


def open_jwks(place: str, *, strict: bool) -> JwksUrl | JwksFile:
    """Where the keys come from. Raises `Misconfigured`: a file must hold keys now, and a host must be asked safely.

    A host may be away when we start, so it is not asked yet. `strict` allows plain http to this machine only.
    """
    if place.startswith(("http://", "https://")):
        return JwksUrl(_checked(place, strict=strict))
    path = Path(place)
    try:
        read_keys(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"QUARRY_TOKEN_JWKS names {place!r}, no URL and no file of keys: {error}") from error
    return JwksFile(path)


def _checked(url: str, *, strict: bool) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"QUARRY_TOKEN_JWKS is {url!r}, which is no URL: {error}") from error
    if not parsed.host or (parsed.port or 0) > 65535:
        raise Misconfigured(f"QUARRY_TOKEN_JWKS is {url!r}, which names no host that can be asked")
    if strict and parsed.scheme == "http" and parsed.host not in _THIS_MACHINE:
        raise Misconfigured(f"QUARRY_TOKEN_JWKS is {url}: whoever can change the answer can be anybody; use https")
    return url


def read_keys(document: bytes) -> dict[str | None, jwt.PyJWK]:
    """The keys by id that may verify tokens: RSA from 2048 bits and P-256, for signatures. Raises `ValueError`."""
    try:
        parsed = json.loads(document)
    except RecursionError as error:
        raise ValueError("this is no key set: it is nested too deeply") from error
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError("this is no key set: it has no list `keys` (RFC 7517)")
    found: dict[str | None, jwt.PyJWK] = {}
    for fields in listed[:_MAX_KEYS]:
        key = _key(fields) if isinstance(fields, dict) else None
        if key is not None:
            found.setdefault(key.key_id, key)
    if not found:
        raise ValueError(f"none of its {len(listed)} keys can verify RS256 or ES256")
    return found


def _key(fields: dict[str, Any]) -> jwt.PyJWK | None:
    """The key, or None for one of another kind or purpose: secrets, encryption, weak ones, private ones."""
    algorithm = _BOUND.get(f"{fields.get('kty')} {fields.get('crv')}")
    if algorithm is None or fields.get("alg", algorithm) != algorithm or fields.get("use", "sig") != "sig":
        return None
    uses = fields.get("key_ops", ["verify"])
    if not isinstance(fields.get("kid"), str | None) or not isinstance(uses, list) or "verify" not in uses:
        return None
    if "d" in fields:
        logger.warning(
            "a key set holds the private key %r, which is not used: whoever saw it can sign", fields.get("kid")
        )
        return None
    try:
        key = jwt.PyJWK(fields, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if algorithm != "RS256" or key.key.key_size >= _MIN_RSA_BITS else None
