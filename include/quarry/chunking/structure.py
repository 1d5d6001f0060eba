"""The structure-aware chunker: passages follow a document's sections and never outgrow what the model reads."""

from collections.abc import Iterable, Iterator

from include.quarry.chunking.outline import outline
from include.quarry.chunking.packing import Packer
from include.quarry.chunking.words import WordCounter
from include.quarry.embedding.protocol import Tokenizer
from include.quarry.errors import Misconfigured
from include.quarry.records import Block, Passage
from include.quarry.specs import ChunkerSpec

_LEAST_TOKENS = 16
_CHARACTERS_A_TOKEN = 16  # a word unknown to the model is one token however long it is


class StructureChunker:
    """The `Chunker` port. A passage is at most `spec.max_tokens` long and at most 32 characters a token.

    A document that fits is one passage. Otherwise neighbouring blocks of a section share a passage as far as they fit;
    a section below `spec.min_tokens` also takes its next sibling or child in; a block is cut only when it is too long.
    A heading opens the passage that follows it, and is context to the further passages of its section.

    Holds one passage and one block at a time; the time grows with the length of the text. Thread-safe.
    Raises `Misconfigured` when the spec's sizes cannot work.
    """

    def __init__(self, spec: ChunkerSpec, tokenizer: Tokenizer) -> None:
        if spec.max_tokens < _LEAST_TOKENS or not 0 <= spec.min_tokens <= spec.max_tokens // 2:
            raise Misconfigured(
                f"chunker has max_tokens {spec.max_tokens} and min_tokens {spec.min_tokens}; max_tokens must be "
                f"at least {_LEAST_TOKENS} and min_tokens between 0 and half of max_tokens; mend the chunker spec"
            )
        self._spec = spec
        self._counter = WordCounter(tokenizer)
        self._max_chars = spec.max_tokens * _CHARACTERS_A_TOKEN

    @property
    def spec(self) -> ChunkerSpec:
        return self._spec

    def passages(self, blocks: Iterable[Block], title: str) -> Iterator[Passage]:
        pieces = outline(blocks, self._max_chars, self._counter)
        return Packer(self._spec, self._counter, title).passages(pieces)
