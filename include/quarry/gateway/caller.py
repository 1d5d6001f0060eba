"""Who asks, on whose behalf, and what they may do: what a verified token says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from include.quarry.errors import Forbidden, InvalidInput, Unauthenticated
from include.quarry.feeds.keys import check_name
from include.quarry.records import Scope

Priority = Literal["urgent", "normal", "batch"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
SCOPES = ("retrieve", "answer", "write", "feedback", "admin")
"""Find passages · ask for answers · change documents · rate answers · run the installation, for all its tenants."""

DEFAULT_PLAN = "standard"
_MAX_SUBJECT_CHARS = 255  # OpenID Connect Core 1.0, section 2


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant's user or program. `plan` names what the tenant has paid for, `priority` how soon it wants answers."""

    tenant: str
    subject: str
    scopes: frozenset[str]
    priority: Priority = "normal"
    plan: str = DEFAULT_PLAN

    def lowered(self, priority: Priority) -> "Caller":
        """The same caller with less haste. Raises `Forbidden` for a higher priority than the token gives."""
        if PRIORITIES.index(priority) < PRIORITIES.index(self.priority):
            raise Forbidden(f"priority {priority!r} is above the token's own, which is {self.priority!r}; ask for that")
        return replace(self, priority=priority)

    def require(self, scope: str) -> None:
        """Raise `Forbidden` unless the token carries the scope."""
        if scope not in self.scopes:
            listed = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"this needs the scope {scope!r}; the token has {listed}: ask for another", scope=scope)

    def sees(self, filters: Mapping[str, str]) -> Scope:
        """What of a corpus the caller may see. Raises `Forbidden` where the filters name another tenant."""
        if (named := filters.get("tenant", self.tenant)) != self.tenant:
            raise Forbidden(f"the filter names tenant {named[:40]!r}, which is not the token's; leave `tenant` out")
        return Scope(self.tenant, {name: value for name, value in filters.items() if name != "tenant"})


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """The caller that the claims of a verified token name. Raises `Unauthenticated` saying which claim is wrong.

    Scopes are `scope`, words in one string (RFC 8693), or `scopes`, a list. Those unknown here are of other services.
    """
    return Caller(
        tenant=_name(claims, "tenant"),
        subject=_subject(claims.get("sub")),
        scopes=frozenset(SCOPES).intersection(_words(claims)),
        priority=_priority(claims.get("priority", "normal")),
        plan=_name(claims, "plan", DEFAULT_PLAN),
    )


def _name(claims: Mapping[str, Any], claim: str, default: str | None = None) -> str:
    value = claims.get(claim, default)
    if not isinstance(value, str):
        raise Unauthenticated(f"the token's claim {claim!r} is missing or no text; `make token` shows how one looks")
    try:
        return check_name(claim, value)
    except InvalidInput as error:
        raise Unauthenticated(f"the token is not accepted: {error}") from error


def _subject(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_SUBJECT_CHARS or not value.isprintable():
        raise Unauthenticated(
            f"the token's claim 'sub' must be 1 to {_MAX_SUBJECT_CHARS} printable characters: it says who asks"
        )
    return value


def _priority(value: object) -> Priority:
    for known in PRIORITIES:
        if value == known:
            return known
    raise Unauthenticated(f"the token's claim 'priority' is {str(value)[:40]!r}; allowed are {', '.join(PRIORITIES)}")


def _words(claims: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for claim in ("scope", "scopes"):
        value = claims.get(claim, [])
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise Unauthenticated(f"the token's claim {claim!r} is neither words in a text nor a list of words")
        found += words
    return found
