"""One request, as everything behind the door needs to know it."""

from dataclasses import dataclass, field

from include.quarry.audit.notes import Notes
from include.quarry.cache.directive import Caching
from include.quarry.gateway.caller import Caller
from include.quarry.gateway.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, the number of the request, until when an answer is of use, the trace that it belongs to, and whether
    what was kept of an earlier one will do.

    Goes along to the deployments behind; `query_id` is 32 hex digits, `traceparent` is W3C's. In `notes` the routes
    put down what the record of the request needs.
    """

    caller: Caller
    query_id: str
    deadline: Deadline
    traceparent: str
    caching: Caching = "use"
    notes: Notes = field(default_factory=Notes, compare=False)
