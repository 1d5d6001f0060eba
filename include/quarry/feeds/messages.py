"""The messages of a topic as changes, by the format that the topic has."""

import logging
from typing import Literal

from include.quarry.errors import InvalidInput, Misconfigured
from include.quarry.feeds.debezium import read_envelope, read_key
from include.quarry.feeds.events import read_event, read_tombstone
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.feeds.rows import RowMapping

logger = logging.getLogger(__name__)
Format = Literal["event", "debezium"]


class MessageReader:
    """Reads messages of one topic; raises `Misconfigured` for envelopes without a mapping of columns."""

    def __init__(self, format: Format, corpus: str, mapping: RowMapping | None) -> None:
        if format == "debezium" and mapping is None:
            raise Misconfigured("a feed of Debezium's envelopes needs a mapping of columns; see include/feeds")
        self._corpus = corpus
        self._mapping = mapping if format == "debezium" else None

    def read(self, value: bytes | None, key: bytes | None) -> Upserted | Deleted | None:
        """What the message tells of; None for what is no change of a document. Raises `InvalidInput`."""
        try:
            return self._told(value, key)
        except InvalidInput:
            raise
        except Exception as error:  # it holds what nobody thought of; the stream must not stand still for it
            logger.exception("a message could not be read")
            raise InvalidInput(f"the message cannot be read: {type(error).__name__}: {error}") from error

    def _told(self, value: bytes | None, key: bytes | None) -> Upserted | Deleted | None:
        if self._mapping is not None:
            return read_key(key, self._mapping) if value is None else read_envelope(value, self._mapping)
        return read_tombstone(key, self._corpus) if value is None else read_event(value, self._corpus)
