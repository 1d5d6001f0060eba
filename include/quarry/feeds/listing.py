"""A listing as a stream: each document is a partition, whose offset differs whenever its content may.

A pass tells of everything whose offset is not the catalog's, and then of what is listed no more. A listing has no
history: of several changes between two passes, the last one is seen. What was moved is told of as new where it is now,
and then as gone from where it was, so that a search finds it at each moment.
"""

import logging
import time
from collections.abc import Iterator

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import standing
from include.quarry.catalog.offsets import load_offsets
from include.quarry.errors import InvalidInput, QuarryError, Unavailable
from include.quarry.feeds.moves import find_moves
from include.quarry.feeds.protocol import Batch, Change, Deleted, FeedItem, Garbled, Listing, OffsetOf, Upserted
from include.quarry.records import UPLOAD_FEED, DocumentKey

logger = logging.getLogger(__name__)
_REST = 9
"""After a pass that found nothing, it rests so many times as long as it took: a large folder that nobody changes takes
a tenth of a processor."""
_AGAIN_S = 30.0
"""What could not be read is left alone for so long: a stream comes by twice a second."""
_HELD_BYTES = 2**24
"""So much content is in hand at once, or one document."""
_MANY = 10
"""When more documents than that vanish and none is left, the source has rather gone than been emptied."""


class ListedFeed:
    """See `ChangeFeed`. `listed` counts the documents of the pass that is under way, or was the last one."""

    def __init__(self, listing: Listing, corpus: str, tenant: str, database: Database) -> None:
        self._listing = listing
        self._corpus = corpus
        self._tenant = tenant
        self._database = database
        self._pass: Iterator[Batch] | None = None
        self._began, self._has_news = 0.0, False
        self._again_at: dict[str, float] = {}
        self.listed = 0

    @property
    def name(self) -> str:
        return self._listing.name

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        """Gives nothing, after `wait_s` or longer, when a pass is over; the next pull begins another. A pass asks for
        all offsets at once, and not for each."""
        if self._pass is None:
            self._pass, self._began, self._has_news = self._look(), time.monotonic(), False
        batches, held_bytes = list[Batch](), 0
        for batch in self._pass:
            self._has_news = True
            batches.append(batch)
            held_bytes += sum(len(change.raw.content) for change in batch.changes if isinstance(change, Upserted))
            if len(batches) >= limit or held_bytes > _HELD_BYTES:
                return batches
        if not batches:
            self._pass = None
            took_s = 0.0 if self._has_news else time.monotonic() - self._began
            time.sleep(wait_s and max(wait_s, _REST * took_s))
        return batches

    def accepted(self, partition: str, offset: str) -> None:
        """Nobody is to be told."""

    def rewind(self, partition: str) -> None:
        """A new pass comes by everything."""
        self._pass = None

    def lag(self) -> dict[str, int]:
        """A listing does not tell what has changed before it is read."""
        return {}

    def close(self) -> None:
        self._pass = None

    def _look(self) -> Iterator[Batch]:
        with self._database.read() as connection:
            known = load_offsets(connection, self.name)
        listed: set[str] = set()
        for item in self._listing.items():
            listed.add(item.doc_id)
            self.listed = len(listed)
            is_due = time.monotonic() >= self._again_at.get(item.doc_id, 0.0)
            if (before := known.get(item.doc_id)) != item.offset and is_due:
                yield from self._offer(item, before)
        self.listed = len(listed)
        self._again_at = {doc_id: at for doc_id, at in self._again_at.items() if doc_id in listed}
        if len(known) > _MANY and not listed:
            raise Unavailable(
                f"{self.name} lists nothing where {len(known)} documents were: is it mounted? Nothing was deleted; if "
                "all are to go, leave one file, and delete that one over HTTP"
            )
        vanished = {self._key(doc_id): known[doc_id] for doc_id in known.keys() - listed}
        went = find_moves(self._listing, vanished, self._database) if vanished else {}
        for key in sorted(vanished):
            yield Batch(key.doc_id, vanished[key], [Deleted(key, own=True, moved_to=went.get(key))], None)

    def _offer(self, item: FeedItem, before: str | None) -> Iterator[Batch]:
        key = self._key(item.doc_id)
        after: str | None = item.offset
        try:
            self._check_owner(key)
            change: Change = Upserted(item.load())
        except FileNotFoundError:
            return  # deleted while we looked: the next pass no longer lists it
        except InvalidInput as reason:
            change = _garbled(key, item, reason)
        except QuarryError:
            raise
        except OSError as reason:
            change, after = _garbled(key, item, reason), before  # may be readable next time, though it is the same
        except Exception as reason:  # its format is nothing that anybody thought of; one document must not end the pass
            logger.exception("%r could not be loaded", item.uri)
            change, after = _garbled(key, item, reason), before
        if after == before:
            self._again_at[item.doc_id] = time.monotonic() + _AGAIN_S
        yield Batch(item.doc_id, before, [change], after)

    def _check_owner(self, key: DocumentKey) -> None:
        """Two scheduled feeds must not take turns in writing one document."""
        with self._database.read() as connection:
            document = standing(connection, [key]).get(key)
        if document is None or document.deleted or document.feed in (self.name, UPLOAD_FEED):
            return
        raise InvalidInput(
            f"doc_id {key.doc_id!r} belongs to the feed {document.feed!r}; ingest the two feeds into different corpora "
            "or tenants"
        )

    def _key(self, doc_id: str) -> DocumentKey:
        return DocumentKey(self._corpus, self._tenant, doc_id)


def _garbled(key: DocumentKey, item: FeedItem, reason: Exception) -> Garbled:
    logger.warning("%r is set aside: %s", item.uri, reason)
    return Garbled(key, item.uri, f"{type(reason).__name__}: {reason}", None, "document")
