"""Hits as bytes: the JSON that the HTTP API shows, and beside it what else is asked of a list of hits.

A list of hits that is kept, sent on or shown again is not taken apart and put together each time; whoever looks at a
hit gets the record.
"""

from collections.abc import Sequence
from typing import Any, overload

import orjson

from include.quarry.errors import InvalidInput
from include.quarry.records import Chunk, DocumentKey, Hit, Passage

FORMAT = 1
"""Number of this encoding; another one for every change, since releases may share a cache."""
Listed = list[Any]
"""Of one hit: chunk_id, doc_id, score, and its rank in each list that held it."""
_LENGTH_BYTES = 4


class EncodedHits(Sequence[Hit]):
    """Hits, best first. `shown` is a JSON array with what the HTTP API shows of each."""

    def __init__(self, shown: bytes, listed: bytes, rest: bytes, hits: Sequence[Hit] | None = None) -> None:
        """`listed` is an array of `Listed`, `rest` one of what the records hold besides."""
        self.shown = shown
        self._listed = listed
        self._rest = rest
        self._hits = hits

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> "EncodedHits":
        """These hits; those that are encoded already as they are."""
        if isinstance(hits, EncodedHits):
            return hits
        shown = orjson.dumps([passage_of(hit) for hit in hits], option=orjson.OPT_SERIALIZE_NUMPY)
        listed = orjson.dumps(outline(hits), option=orjson.OPT_SERIALIZE_NUMPY)
        return cls(shown, listed, orjson.dumps([_rest(hit.chunk) for hit in hits], default=dict), hits)

    @classmethod
    def from_bytes(cls, value: bytes) -> "EncodedHits":
        """The inverse of `to_bytes`. Raises `InvalidInput` for what was cut off."""
        shown, value = _cut(value)
        listed, rest = _cut(value)
        if not rest:
            raise InvalidInput("these bytes are no list of hits; ask the index again")
        return cls(shown, listed, rest)

    def to_bytes(self) -> bytes:
        """All parts, one after the other."""
        lengths = (len(part).to_bytes(_LENGTH_BYTES) for part in (self.shown, self._listed))
        return b"".join((next(lengths), self.shown, next(lengths), self._listed, self._rest))

    def listed(self) -> list[Listed]:
        """See `outline`."""
        found: list[Listed] = orjson.loads(self._listed)
        return found

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Hit]: ...
    def __getitem__(self, place: int | slice) -> Hit | Sequence[Hit]:
        return self._decoded()[place]

    def __len__(self) -> int:
        return len(self._decoded())

    def __reduce__(self) -> tuple[Any, ...]:
        return EncodedHits, (self.shown, self._listed, self._rest)

    def _decoded(self) -> Sequence[Hit]:
        if self._hits is None:
            pairs = zip(orjson.loads(self.shown), orjson.loads(self._rest), strict=True)
            self._hits = [_hit(shown, rest) for shown, rest in pairs]
        return self._hits


def outline(hits: Sequence[Hit]) -> list[Listed]:
    """Which chunks of which documents were found, and how; without decoding hits that are encoded."""
    if isinstance(hits, EncodedHits):
        return hits.listed()
    return [[hit.chunk.chunk_id, hit.chunk.key.doc_id, hit.score, dict(hit.ranks)] for hit in hits]


def _cut(value: bytes) -> tuple[bytes, bytes]:
    """The first part, whose length stands before it, and what follows."""
    end = _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES])
    return value[_LENGTH_BYTES:end], value[end:]


def passage_of(hit: Hit) -> dict[str, Any]:
    """What the HTTP API shows of a hit."""
    chunk = hit.chunk
    return {
        "chunk_id": chunk.chunk_id,
        "doc_id": chunk.key.doc_id,
        "title": chunk.title,
        "uri": chunk.uri,
        "text": chunk.passage.text,
        "start": chunk.passage.start,
        "end": chunk.passage.end,
        "score": hit.score,
        "ranks": dict(hit.ranks),
    }


def _rest(chunk: Chunk) -> list[object]:
    passage = chunk.passage
    return [
        chunk.key.corpus,
        chunk.key.tenant,
        chunk.doc_version,
        chunk.ordinal,
        passage.context,
        passage.tokens,
        chunk.metadata,
    ]


def _hit(shown: dict[str, Any], rest: list[Any]) -> Hit:
    corpus, tenant, doc_version, ordinal, context, tokens, metadata = rest
    passage = Passage(shown["text"], context, shown["start"], shown["end"], tokens)
    key = DocumentKey(corpus, tenant, shown["doc_id"])
    chunk = Chunk(shown["chunk_id"], key, doc_version, ordinal, shown["uri"], shown["title"], passage, metadata)
    return Hit(chunk, shown["score"], shown["ranks"])
