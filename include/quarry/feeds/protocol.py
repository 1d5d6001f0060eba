"""The port of feeds: places that documents come from, and tell of their changes in order.

The offset of each partition is stored in the transaction that accepts its changes. A source that keeps no history, but
can list all it has, is a `Listing`; `ListedFeed` makes a `ChangeFeed` of it.

What users send over HTTP (`Uploads`) comes through no feed: its sender waits for the catalog, is told the `seq`, or why
it cannot be read, so that nothing is ever left to be pulled or set aside.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from include.quarry.records import DocumentKey, RawDocument


@dataclass(frozen=True, slots=True)
class FeedItem:
    """A document on offer. `offset` differs whenever the content may; `load` is called only when it does. What comes
    before the first colon of an offset is the same for the same content, wherever that lies, as its size is.

    `load` raises `InvalidInput` when the document cannot be delivered, `FileNotFoundError` when it has gone meanwhile.
    """

    doc_id: str
    uri: str
    offset: str
    load: Callable[[], RawDocument]


class Listing(Protocol):
    """A source that can list all it has, so that what it no longer lists was deleted."""

    @property
    def name(self) -> str:
        """Names the feed's offsets in the catalog; two feeds never share one."""
        ...

    def items(self) -> Iterator[FeedItem]:
        """Everything there is now, in a stable order. Raises `Unavailable` when the source itself is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Upserted:
    """A document is new or changed. `at` is when the source says so, if it does.

    `replaces` is who the document was before it was moved: that one goes in the same transaction.
    """

    raw: RawDocument
    at: datetime | None = None
    replaces: DocumentKey | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A document is gone; with `own`, only from this feed, which does not count once another one has written it.

    `moved_to` is what it became, which the feed has told of before: searches find it until they can find that one.
    """

    key: DocumentKey
    at: datetime | None = None
    own: bool = False
    moved_to: DocumentKey | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """Everything that the feed has brought is gone."""

    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Garbled:
    """What came cannot be understood: it is set aside under a key that tells where it stood, with its bytes if they
    could be had.

    `detail` is a plain object with what is needed to read the bytes again; the feed knows what that is.
    """

    key: DocumentKey
    uri: str
    reason: str
    content: bytes | None
    kind: Literal["document", "message", "row"] = "message"
    detail: Mapping[str, Any] = field(default_factory=dict)


Change = Upserted | Deleted | Cleared | Garbled


class Message(NamedTuple):
    """A message's name in its feed, and the time after which the source cannot send it again."""

    name: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive changes of one partition.

    `begins` is the offset that must stand in the catalog for the batch to count, None for a partition that was never
    read; `ends` is the one that stands there afterwards, None where the partition is no more. Offsets are texts that
    only the feed understands.

    A source without offsets names the message of each change instead: those that the catalog has accepted before are
    passed over, the others count, wherever the batch begins.
    """

    partition: str
    begins: str | None
    changes: Sequence[Change]
    ends: str | None
    messages: Sequence[Message] | None = None


OffsetOf = Callable[[str], str | None]
"""Partition -> the offset that the catalog holds."""


class ChangeFeed(Protocol):
    """A feed that tells of changes. One thread uses it; `lag` alone may be asked from another."""

    @property
    def name(self) -> str:
        """Names the feed's offsets in the catalog; readers of one stream share it."""
        ...

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        """Up to `limit` changes of the partitions that this reader holds now, at most one batch a partition.

        Goes on from what it gave last; a partition that is new to it begins at its offset in the catalog. Waits up to
        `wait_s` for a first change and no longer, and may give nothing. A batch without changes moves the offset past
        what means nothing here. Raises `Unavailable` when the source does not answer.
        """
        ...

    def accepted(self, partition: str, offset: str) -> None:
        """The catalog holds the changes up to here; tell the source, for its lag tools and its retention."""
        ...

    def rewind(self, partition: str) -> None:
        """What was given of the partition was not accepted: give it again, from where the catalog stands."""
        ...

    def lag(self) -> dict[str, int]:
        """What waits in the source, by partition this reader holds, as far as it can tell. Raises `Unavailable`."""
        ...

    def close(self) -> None:
        """Leave the source."""
        ...
