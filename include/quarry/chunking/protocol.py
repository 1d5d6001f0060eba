"""The chunker port: blocks in, passages with offsets out."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from include.quarry.records import Block, Passage
from include.quarry.specs import ChunkerSpec


class Chunker(Protocol):
    """Cuts a stream of blocks into passages; the same blocks always give the same passages."""

    @property
    def spec(self) -> ChunkerSpec: ...

    def passages(self, blocks: Iterable[Block], title: str) -> Iterator[Passage]:
        """Passages in the order of the text, each `embedding_text` at most `spec.max_tokens` long.

        Every character that is not white space lies in exactly one passage.
        """
        ...
