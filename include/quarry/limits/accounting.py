"""Usage, as the audit tells it: every record that is shipped into the catalog is added up there, in its transaction.

So nothing is counted twice and nothing is lost: what a killed process had done is in its journal, and is counted when
another one adopts that.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.audit.entry import Entry
from include.quarry.catalog.request_schema import audit_chains
from include.quarry.catalog.usage import UsageKey, Used, add_usage

_REFUSED = 429
_ENDED_BY_THE_CALLER = frozenset({499, 504})
"""It left, or gave no more time. What was used until then is charged as in a stream that is left."""
_UPLOAD = "PUT /v1/documents/{doc_id}"


def count_usage(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Add up what entries of one writer say. Called before the audit notes how far this writer was shipped: what comes
    again is left out by that."""
    its_chain = sa.select(audit_chains.c.shipped).where(audit_chains.c.writer == entries[0].writer)
    shipped = connection.scalar(its_chain.with_for_update())  # a killed writer's last transaction may still commit
    used: defaultdict[UsageKey, Used] = defaultdict(Used)
    for entry in entries:
        if entry.number > (shipped or 0) and entry.fields.get("tenant"):
            for key, amount in _used(entry.fields):
                used[key].add(amount)
    add_usage(connection, used)


def _used(fields: Mapping[str, Any]) -> list[tuple[UsageKey, Used]]:
    if fields.get("outcome") == "begun":  # of a stream, its end tells more
        return []
    of_no_tier = UsageKey(fields["tenant"], datetime.fromisoformat(fields["at"]).astimezone(UTC).date())
    if fields["status"] == _REFUSED:
        return [(of_no_tier, Used(refused=fields.get("times", 1)))]
    found = []
    if fields["status"] < 400:
        found.append((of_no_tier, Used(requests=1, documents=int(fields["action"] == _UPLOAD))))
    elif fields["status"] not in _ENDED_BY_THE_CALLER:
        return []
    if (usage := fields.get("usage")) is not None:
        answered = of_no_tier._replace(tier=fields["tier"])
        answers = int(not fields.get("unfinished"))  # who left has had none, and pays
        found.append((answered, Used(answers=answers, cost=fields.get("cost", 0))))
        spent = fields.get("spent") or {
            fields["tier"]: usage
        }  # others may have been asked before the one that answered
        found += [(answered._replace(tier=tier), _tokens(each)) for tier, each in spent.items()]
    return found


def _tokens(usage: Mapping[str, Any]) -> Used:
    return Used(**{name: usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens", "engine_s")})
