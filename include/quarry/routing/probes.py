"""Queries for a candidate when nobody is asking: stretches of words out of the corpus itself.

They go through the front door like everybody's, each as the tenant whose document it is from, but past the cache.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import httpx
import sqlalchemy as sa

from include.quarry.catalog.schema import chunks
from include.quarry.errors import Unavailable
from include.quarry.gateway.composition import bearer

_WORDS = 8
_ID_HEX_DIGITS = 8
_PATIENCE_S = 30.0


class Probe(NamedTuple):
    """A query, and the tenant who asks it."""

    tenant: str
    query: str


def sample_probes(
    connection: sa.Connection, corpus: str, count: int, seed: int, tenant: str | None = None
) -> list[Probe]:
    """Up to `count` queries, others for each seed. Chunk ids are hashes, so those after a random one are a sample.

    With `tenant`, only of its documents.
    """
    draw = random.Random(seed)  # noqa: S311 - nothing depends on it being unforeseeable
    c = chunks.c
    of_tenant = [] if tenant is None else [c.tenant == tenant]
    rows_of = sa.select(c.tenant, c.text).where(c.corpus == corpus, *of_tenant).order_by(c.chunk_id).limit(count)
    first = f"{draw.getrandbits(4 * _ID_HEX_DIGITS):0{_ID_HEX_DIGITS}x}"
    rows = connection.execute(rows_of.where(c.chunk_id >= first)).all()
    rows = [*rows, *connection.execute(rows_of.where(c.chunk_id < first).limit(count - len(rows)))]
    return [Probe(row.tenant, query) for row in rows if (query := _stretch(row.text, draw))]


def ask(
    url: str,
    corpus: str,
    probes: Sequence[Probe],
    token_of: Callable[[str], str],
    index_version: str | None = None,
) -> Iterator[str]:
    """Put the probes to the front door; gives the version that answered each. Raises `Unavailable`.

    `token_of` gives a token that speaks for a tenant, with the scope `admin` where a version is named.
    """
    with httpx.Client(base_url=url, timeout=_PATIENCE_S, trust_env=False) as client:
        for probe in probes:
            body = {"query": probe.query, "corpus": corpus, "index_version": index_version}
            headers = {**bearer(token_of(probe.tenant)), "Cache-Control": "no-store"}
            try:
                answer = client.post("/v1/retrieve", json=body, headers=headers)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise Unavailable(f"{url} does not answer a query to corpus {corpus!r} ({error})") from error
            yield str(answer.json()["index_version"])


def _stretch(text: str, draw: random.Random) -> str:
    words = text.split()
    start = draw.randrange(max(1, len(words) - _WORDS))
    return " ".join(words[start : start + _WORDS])
