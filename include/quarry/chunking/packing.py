"""Packing the pieces of a document into passages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from include.quarry.chunking.contexts import context_of
from include.quarry.chunking.cutting import Room, cut
from include.quarry.chunking.outline import Piece
from include.quarry.chunking.words import WordCounter
from include.quarry.records import Passage
from include.quarry.specs import ChunkerSpec

_MAX_CHARACTERS_A_TOKEN = 32
_CONTEXT_SHARE = 3
_WHITE = (" ", "\t", "\r", "\n")


@dataclass(slots=True)
class _Open:
    """A passage that still grows; `room` is what its context leaves of the token budget."""

    start: int
    above: tuple[str, ...]
    context: str
    room: int
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    chars: int = 0

    def fits(self, piece: Piece) -> bool:
        return self.tokens + piece.tokens <= self.room

    def add(self, text: str, tokens: int) -> None:
        self.texts.append(text)
        self.tokens += tokens
        self.chars += len(text)

    def closed(self, counter: WordCounter) -> Iterator[Passage]:
        """The passage without the white space around it, unless nothing is left."""
        text = "".join(self.texts)
        core = text.strip()
        if core:
            start = self.start + len(text) - len(text.lstrip())
            tokens = counter.tokens(self.context) + counter.tokens(core)
            yield Passage(core, self.context, start, start + len(core), tokens)


class Packer:
    """Packs the pieces of one document."""

    def __init__(self, spec: ChunkerSpec, counter: WordCounter, title: str) -> None:
        self._spec = spec
        self._counter = counter
        self._title = title

    def passages(self, pieces: Iterator[Piece]) -> Iterator[Passage]:
        """Everything in one passage if it fits, else section by section."""
        head: list[Piece] = []
        passage: _Open | None = None
        for piece in pieces:
            if passage is None and piece.blank:
                continue
            head.append(piece)
            passage = passage or self._opened(piece)
            if not (self._joinable(passage, piece) and passage.fits(piece)):
                opened = self._sections(chain(head, pieces))
                break
            passage.add(piece.text, piece.tokens)
        else:
            opened = iter([passage] if passage else [])
        for passage in opened:
            yield from passage.closed(self._counter)

    def _sections(self, pieces: Iterable[Piece]) -> Iterator[_Open]:
        passage: _Open | None = None
        for piece in pieces:
            if passage and not (self._joinable(passage, piece) and self._related(passage, piece)):
                yield passage
                passage = None
            if passage is None and piece.blank:
                continue
            passage = passage or self._opened(piece)
            if not passage.fits(piece) and passage.tokens >= self._spec.min_tokens:
                yield passage
                passage = self._opened(piece)
            if passage.fits(piece):
                passage.add(piece.text, piece.tokens)
            else:
                *full, passage = self._cut(passage, piece)
                yield from full
        if passage:
            yield passage

    def _cut(self, passage: _Open, piece: Piece) -> Iterator[_Open]:
        """Fills the open passage with the first part of a piece, and new ones with the others; the last stays open."""
        room = Room(passage.room - passage.tokens, self._room(self._context(piece.below, "")), passage.tokens)
        start = piece.start
        for number, part in enumerate(cut(piece.text, piece.kind, room, self._counter)):
            if number:
                yield passage
                passage = self._open(start, piece.below, part)
            passage.add(part, self._counter.tokens(part))
            start += len(part)
        yield passage

    def _joinable(self, passage: _Open, piece: Piece) -> bool:
        """Whether the two may touch: without white space between them, their words would make other tokens."""
        clean = not passage.texts or passage.texts[-1].endswith(_WHITE) or piece.text.startswith(_WHITE)
        return clean and passage.chars + len(piece.text) <= _MAX_CHARACTERS_A_TOKEN * self._spec.max_tokens

    def _related(self, passage: _Open, piece: Piece) -> bool:
        """Whether the piece belongs to the section of the passage, or opens a sibling or child of a very small one."""
        small = passage.tokens < self._spec.min_tokens
        return piece.heading is None or (small and piece.above[: len(passage.above)] == passage.above)

    def _opened(self, piece: Piece) -> _Open:
        return self._open(piece.start, piece.above, piece.heading or piece.text)

    def _open(self, start: int, above: tuple[str, ...], opening: str) -> _Open:
        context = self._context(above, opening)
        return _Open(start, above, context, self._room(context))

    def _context(self, above: tuple[str, ...], opening: str) -> str:
        return context_of(self._title, above, opening, self._spec.max_tokens // _CONTEXT_SHARE, self._counter)

    def _room(self, context: str) -> int:
        return self._spec.max_tokens - self._counter.tokens(context)
