"""The door as the settings say it, and the tokens that the platform's own clients show at it."""

from include.quarry.gateway.caller import DEFAULT_PLAN
from include.quarry.gateway.door import Door
from include.quarry.gateway.minting import mint
from include.quarry.gateway.tokens import TokenVerifier
from include.quarry.operations.installation import Installation
from include.quarry.settings import Settings

PLATFORM = "platform"
"""Subject of the tokens that the platform makes for itself."""
_OWN_TTL_S = 86_400.0
_NAME = "quarry"


def open_door(settings: Settings) -> Door:
    """The one door of an installation; both deployments that serve HTTP make it here."""
    tokens = TokenVerifier(
        secret=_secret(settings), issuer=settings.token_issuer or _NAME, audience=settings.token_audience or _NAME
    )
    return Door(tokens, max_wait_s=settings.request_timeout_s)


def make_token(
    settings: Settings,
    tenant: str,
    *scopes: str,
    subject: str = PLATFORM,
    priority: str = "normal",
    plan: str = DEFAULT_PLAN,
    ttl_s: float = _OWN_TTL_S,
) -> str:
    """A token that this installation's door accepts: what the demonstration, probes, evaluation and tests show.

    Raises `InvalidInput` for names and scopes that do not exist.
    """
    return mint(
        _secret(settings),
        issuer=settings.token_issuer or _NAME,
        audience=settings.token_audience or _NAME,
        tenant=tenant,
        scopes=scopes,
        subject=subject,
        ttl_s=ttl_s,
        priority=priority,
        plan=plan,
    )


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def _secret(settings: Settings) -> str:
    return Installation(settings).secret("tokens")
