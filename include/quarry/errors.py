"""The one tree of errors that Quarry raises on purpose.

    QuarryError
    ├── InvalidInput            the caller sent something that cannot be accepted      -> HTTP 422
    │   ├── UnsupportedContent  a content type without a parser                        -> HTTP 415
    │   ├── ContentTooLarge     more bytes than the limit                              -> HTTP 413
    │   └── UnreadableContent   the bytes are not what the content type says           -> quarantine, HTTP 422
    ├── NotFound                no such corpus, document, version or suite             -> HTTP 404
    ├── Conflict                the state does not allow it now                        -> HTTP 409
    │   ├── ForeignVectors      vectors of another embedding spec were offered
    │   ├── IncompleteIndex     an index does not hold what the log says it must
    │   └── Refused             a candidate was tried and is not good enough
    ├── Unavailable             a part is not ready; try again later                   -> HTTP 503 + Retry-After
    └── Misconfigured           a setting or a spec is wrong; the operator must mend it

Every message carries the value, what is allowed, and the remedy.
"""


class QuarryError(Exception):
    """Root of the tree. `title` and `status` are what an HTTP problem body (RFC 9457) shows."""

    title = "Internal error"
    status = 500


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


class Misconfigured(QuarryError):
    """A setting or a spec is wrong, and only the operator can mend it."""

    title = "Misconfigured"
