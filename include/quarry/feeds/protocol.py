"""The feed port: a place that documents come from, one partition per document or per stream."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from include.quarry.records import RawDocument


@dataclass(frozen=True, slots=True)
class FeedItem:
    """A document on offer. `offset` differs whenever the content may; `load` is called only when it does.

    `load` raises `InvalidInput` when the document cannot be delivered, `FileNotFoundError` when it has gone meanwhile.
    """

    doc_id: str
    uri: str
    offset: str
    load: Callable[[], RawDocument]


class Feed(Protocol):
    """A feed that can list all it has, so that what it no longer lists was deleted."""

    @property
    def name(self) -> str:
        """Names the feed's offsets in the catalog; two feeds never share one."""
        ...

    def items(self) -> Iterator[FeedItem]:
        """Everything there is now, in a stable order. Raises `NotFound` when the source itself is gone."""
        ...
