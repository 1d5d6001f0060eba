"""What tenants used, added up by day and by the tier that answered."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from include.quarry.catalog.request_schema import usage
from include.quarry.catalog.schema import documents
from include.quarry.records import DocumentKey


class UsageKey(NamedTuple):
    """Whose use, on which day (UTC), of which tier; `tier` is empty for what is not about one."""

    tenant: str
    day: date
    tier: str = ""


@dataclass(slots=True)
class Used:
    """Amounts, as the columns of the table `usage` name them."""

    requests: int = 0
    refused: int = 0
    documents: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    engine_s: float = 0.0
    cost: float = 0.0

    def add(self, other: "Used") -> None:
        """Count the other one too."""
        for name in AMOUNTS:
            if amount := getattr(other, name):
                setattr(self, name, getattr(self, name) + amount)

    @property
    def tokens(self) -> int:
        """Prompt and completion together: what the quota is about."""
        return self.prompt_tokens + self.completion_tokens


AMOUNTS = tuple(field.name for field in fields(Used))


def add_usage(connection: sa.Connection, used: Mapping[UsageKey, Used]) -> None:
    """Add to what is there, in one order of rows, so that writers beside each other never wait in a circle."""
    if used:
        rows = [key._asdict() | {name: getattr(used[key], name) for name in AMOUNTS} for key in sorted(used)]
        connection.execute(_adding(connection.dialect.name), rows)


@cache
def _adding(dialect_name: str) -> sa.Insert:
    """Made once: it takes longer to put together than to carry out."""
    row = (sqlite if dialect_name == "sqlite" else postgresql).insert(usage)
    sums = {name: usage.c[name] + row.excluded[name] for name in AMOUNTS}
    adding: sa.Insert = row.on_conflict_do_update(index_elements=list(UsageKey._fields), set_=sums)
    return adding


def read_usage(connection: sa.Connection, tenant: str, since: date) -> list[tuple[UsageKey, Used]]:
    """What a tenant used since a day, newest day first."""
    u = usage.c
    query = sa.select(usage).where(u.tenant == tenant, u.day >= since).order_by(u.day.desc(), u.tier)
    return [
        (UsageKey(row.tenant, row.day, row.tier), Used(*(getattr(row, name) for name in AMOUNTS)))
        for row in connection.execute(query)
    ]


def tokens_on(connection: sa.Connection, tenant: str, day: date) -> int:
    """The tokens that a tenant used on a day."""
    u = usage.c
    total = sa.func.sum(u.prompt_tokens + u.completion_tokens)
    return int(connection.scalar(sa.select(total).where(u.tenant == tenant, u.day == day)) or 0)


def count_documents(connection: sa.Connection, tenant: str) -> int:
    """How many documents a tenant has, in all corpora."""
    d = documents.c
    query = sa.select(sa.func.count()).select_from(documents).where(d.tenant == tenant, d.deleted == sa.false())
    return int(connection.scalar(query) or 0)


def has_document(connection: sa.Connection, key: DocumentKey) -> bool:
    """Whether the tenant has this document now."""
    d = documents.c
    its = sa.and_(d.corpus == key.corpus, d.tenant == key.tenant, d.doc_id == key.doc_id, d.deleted == sa.false())
    return bool(connection.scalar(sa.select(sa.exists().where(its))))
