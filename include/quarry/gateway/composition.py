"""The door as the settings say it, and the tokens that the platform's own clients show at it."""

import jwt

from include.quarry.audit.ledger import Ledger
from include.quarry.catalog.database import Database
from include.quarry.errors import Misconfigured
from include.quarry.gateway.access_log import to_standard_output
from include.quarry.gateway.caller import DEFAULT_PLAN
from include.quarry.gateway.door import Door
from include.quarry.gateway.jwks import open_jwks
from include.quarry.gateway.key_set import KeySet
from include.quarry.gateway.minting import mint
from include.quarry.gateway.tokens import TokenVerifier
from include.quarry.limits.opening import open_limiter
from include.quarry.operations.installation import Installation
from include.quarry.settings import Settings

_PLATFORM = "platform"
_OWN_TTL_S = 86_400.0
_DEVELOPMENT_NAME = "quarry"
_MIN_SECRET_BYTES = 32  # as many as HS256's digest has, RFC 7518, section 3.2
_MIN_DIFFERENT_BYTES = 10


def open_door(settings: Settings, ledger: Ledger | None = None) -> Door:
    """The one door of an installation; both deployments that serve HTTP make it here, each with its ledger.

    Raises `Misconfigured` for a setting that would let strangers in, in production for a missing one too, and for
    plans that are none.
    """
    if settings.mode == "production":
        _require_production(settings)
    secret = _signing_secret(settings)
    jwks = open_jwks(settings.token_jwks, strict=settings.mode == "production") if settings.token_jwks else None
    tokens = TokenVerifier(
        issuer=settings.token_issuer or _DEVELOPMENT_NAME,
        audience=settings.token_audience or _DEVELOPMENT_NAME,
        secret=secret,
        key_set=KeySet(jwks) if jwks else None,
    )
    return Door(
        tokens,
        max_wait_s=settings.request_timeout_s,
        limiter=open_limiter(settings, Database(settings.catalog_url)),
        ledger=ledger,
        log_line=None if settings.access_log == "off" else to_standard_output,
        unlogged=("/v1/retrieve",) if settings.access_log == "answers" else (),
    )


def make_token(
    settings: Settings,
    tenant: str,
    *scopes: str,
    subject: str = _PLATFORM,
    priority: str = "normal",
    plan: str = DEFAULT_PLAN,
    ttl_s: float = _OWN_TTL_S,
) -> str:
    """A token signed with this installation's secret. Raises `InvalidInput`, and `Misconfigured` without a secret."""
    secret = _signing_secret(settings)
    if not secret:
        raise Misconfigured(
            "in production no secret is made up to sign tokens with: set QUARRY_TOKEN_SECRET, or let the issuer of "
            "QUARRY_TOKEN_JWKS make the token"
        )
    return mint(
        secret,
        issuer=settings.token_issuer or _DEVELOPMENT_NAME,
        audience=settings.token_audience or _DEVELOPMENT_NAME,
        tenant=tenant,
        scopes=scopes,
        subject=subject,
        ttl_s=ttl_s,
        priority=priority,
        plan=plan,
    )


def own_token(settings: Settings, tenant: str, *scopes: str) -> str:
    """What the platform's own clients show when they act for a tenant: status, demonstration, probes, evaluation.

    `QUARRY_TOKEN` if it is for that tenant, or else one that we sign. Raises `Misconfigured` when there is neither.
    """
    if settings.token and _tenant_of(settings.token) == tenant:
        return settings.token
    if (only := only_tenant(settings)) is not None:
        raise Misconfigured(
            f"there is no token for tenant {tenant!r}: QUARRY_TOKEN is for {only!r}, and without QUARRY_TOKEN_SECRET "
            "none can be signed"
        )
    return make_token(settings, tenant, *scopes)


def only_tenant(settings: Settings) -> str | None:
    """The one tenant that our own clients can act for; None when for all. Raises `Misconfigured` when for none."""
    if _signing_secret(settings):
        return None
    if not settings.token:
        raise Misconfigured(
            "our own clients have no token: set QUARRY_TOKEN to one of the issuer's, or QUARRY_TOKEN_SECRET"
        )
    return _tenant_of(settings.token)


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def _signing_secret(settings: Settings) -> str:
    """The secret of HS256 tokens; empty where only the key set's tokens are believed. Raises `Misconfigured`."""
    secret = settings.token_secret
    if not secret:
        return Installation(settings).secret("tokens") if settings.mode == "development" else ""
    if len(secret.encode()) < _MIN_SECRET_BYTES or len(set(secret)) < _MIN_DIFFERENT_BYTES:
        raise Misconfigured(
            f"QUARRY_TOKEN_SECRET can be guessed: it needs {_MIN_SECRET_BYTES} bytes and {_MIN_DIFFERENT_BYTES} "
            "different characters; `openssl rand -base64 48` makes one"
        )
    return secret


def _require_production(settings: Settings) -> None:
    missing = [
        f"QUARRY_{name.upper()} ({what})"
        for name, what in (("token_issuer", "who makes the tokens"), ("token_audience", "whom they are made for"))
        if not getattr(settings, name)
    ]
    if not (settings.token_secret or settings.token_jwks):
        missing.append("QUARRY_TOKEN_JWKS (the issuer's key set) or QUARRY_TOKEN_SECRET (of HS256 tokens)")
    if missing:
        raise Misconfigured(
            f"QUARRY_MODE is production, and nobody can be known without {'; '.join(missing)}: set them, or set "
            "QUARRY_MODE=development on a machine that only you reach"
        )
    made_up = Installation(settings).run / "tokens.secret"
    if settings.token_secret and made_up.is_file() and made_up.read_text() == settings.token_secret:
        raise Misconfigured("QUARRY_TOKEN_SECRET is the one made up for development; make another for production")


def _tenant_of(token: str) -> str:
    """The tenant that a token of ours names; the door will verify it."""
    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("tenant", ""))
    except jwt.PyJWTError as error:
        raise Misconfigured(f"QUARRY_TOKEN is no JSON Web Token: {error}") from error
