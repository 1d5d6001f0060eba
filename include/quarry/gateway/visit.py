"""One request, as everything behind the door needs to know it."""

from dataclasses import dataclass

from include.quarry.gateway.caller import Caller
from include.quarry.gateway.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, the number of the request, until when an answer is of use, and the trace that it belongs to.

    Goes along to the deployments behind; `query_id` is 32 hex digits, `traceparent` is W3C's.
    """

    caller: Caller
    query_id: str
    deadline: Deadline
    traceparent: str
