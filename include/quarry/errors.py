"""The one tree of errors that Quarry raises on purpose.

    QuarryError
    ├── InvalidInput            the caller sent something that cannot be accepted      -> HTTP 422
    │   ├── UnsupportedContent  a content type without a parser                        -> HTTP 415
    │   ├── ContentTooLarge     more bytes than the limit                              -> HTTP 413
    │   └── UnreadableContent   the bytes are not what the content type says           -> quarantine, HTTP 422
    ├── Unauthenticated         no token, or one that is not believed                  -> HTTP 401 + WWW-Authenticate
    ├── Forbidden               the token does not allow this                          -> HTTP 403 + WWW-Authenticate
    ├── TooManyRequests         a limit of the caller is used up                       -> HTTP 429 + Retry-After
    ├── QuotaReached            the tenant has as much as its plan allows              -> HTTP 403
    ├── NotFound                no such corpus, document, version or suite             -> HTTP 404
    ├── Conflict                the state does not allow it now                        -> HTTP 409
    │   ├── ForeignVectors      vectors of another embedding spec were offered
    │   ├── IncompleteIndex     an index does not hold what the log says it must
    │   └── Refused             a candidate was tried and is not good enough
    ├── Unavailable             a part is not ready; try again later                   -> HTTP 503 + Retry-After
    │   └── Full                every place in a queue is taken
    ├── DeadlinePassed          the caller's time was over before the answer was there -> HTTP 504
    └── Misconfigured           a setting or a spec is wrong; the operator must mend it

Every message carries the value, what is allowed, and the remedy.
"""

from collections.abc import Mapping


class QuarryError(Exception):
    """Root of the tree. `title`, `status` and `headers` are what an HTTP problem body (RFC 9457) shows."""

    title = "Internal error"
    status = 500

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields of the HTTP response."""
        return {}


class InvalidInput(QuarryError):
    """The caller sent something that cannot be accepted."""

    title = "Invalid input"
    status = 422


class UnsupportedContent(InvalidInput):
    """No parser knows this content type."""

    title = "Unsupported content type"
    status = 415


class ContentTooLarge(InvalidInput):
    """The content has more bytes than the limit."""

    title = "Content too large"
    status = 413


class UnreadableContent(InvalidInput):
    """The bytes are not a readable document of their content type."""

    title = "Unreadable content"


class Unauthenticated(QuarryError):
    """There is no token, or one that cannot be believed. `error` is RFC 6750's code; empty where no token came."""

    title = "Not authenticated"
    status = 401

    def __init__(self, message: str, *, error: str = "invalid_token") -> None:
        super().__init__(message)
        self.error = error

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="quarry"' + (f', error="{self.error}"' if self.error else "")}


class Forbidden(QuarryError):
    """The token is believed, but does not allow this. `scope` is what it lacks."""

    title = "Forbidden"
    status = 403

    def __init__(self, message: str, *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope

    @property
    def headers(self) -> Mapping[str, str]:
        lacking = f', scope="{self.scope}"' if self.scope else ""
        return {"WWW-Authenticate": f'Bearer realm="quarry", error="insufficient_scope"{lacking}'}


class TooManyRequests(QuarryError):
    """A limit of the caller is used up. `retry_after_s` says when to try again."""

    title = "Too many requests"
    status = 429

    def __init__(self, message: str, *, retry_after_s: int = 1, fields: Mapping[str, str] | None = None) -> None:
        """`fields` are further header fields."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self._fields = fields or {}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s), **self._fields}


class QuotaReached(QuarryError):
    """The tenant has as much as its plan allows; waiting does not help."""

    title = "Quota reached"
    status = 403


class NotFound(QuarryError):
    """The named thing does not exist."""

    title = "Not found"
    status = 404


class Conflict(QuarryError):
    """The present state does not allow the request."""

    title = "Conflict"
    status = 409


class ForeignVectors(Conflict):
    """Vectors of one embedding spec met an index of another."""

    title = "Foreign vector space"


class IncompleteIndex(Conflict):
    """An index does not hold exactly what the log says it must hold."""

    title = "Incomplete index"


class Refused(Conflict):
    """A candidate version was tried and is not good enough to go on."""

    title = "Candidate refused"


class Unavailable(QuarryError):
    """A part is not ready. `retry_after_s` says when to try again."""

    title = "Temporarily unavailable"
    status = 503

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class Full(Unavailable):
    """Every place in a queue is taken."""

    title = "Too busy"


class DeadlinePassed(QuarryError):
    """The time that the caller gave was over before the answer was there; nothing more is computed for it."""

    title = "Deadline passed"
    status = 504


class Misconfigured(QuarryError):
    """A setting or a spec is wrong, and only the operator can mend it."""

    title = "Misconfigured"
