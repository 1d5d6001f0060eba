"""Where sentences begin and end, in documents (with offsets) and in a stream of generated text.

Documents are Markdown, reStructuredText or prose: a blank line, a list item, a heading and a table row end a sentence
as a full stop does, and a line break inside a paragraph does not.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MARKERS = re.compile(r"\s*\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")

_MARKER_BEGUN = re.compile(r"\[[\d\s,;]*\]?")

_ABBREVIATION_LIST = (
    "al approx ca cf col corp dept dr ed eg est etc fig gen gov ie inc jr ltd mr mrs ms no nos op pp prof rev sen sr"
    " st vol vs"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
QUESTION_MARKS = ("?", "\uff1f", "\u061f")
_STOP = re.compile(
    r"(?:[.!?…]+[\"'\u201d\u2019)*`_]*(?:\s*\[\s*\d[\d\s,;]*\])*(?=\s|$)"
    r"|[\u3002\uff01\uff1f\u0964\u061f\u06d4]+[\u201d\u2019\u300d\u300f)]*(?:\s*\[\s*\d[\d\s,;]*\])*)"  # needs no space
)
_OPENING = re.compile(r"[A-Z0-9\"'\u201c\u2018(\[`*_~<#$€£]|[^\W\d_a-z]")
_STRUCTURE = re.compile(
    r"\n[ \t\r]*\n\s*"  # a blank line
    r"|\n(?=[ \t]*(?:[-*+•]|\d{1,2}[.)]|\#\.)[ \t])"  # a list item
    r"|\n(?=[ \t]*(?:\#{1,6}[ \t]|\||>|\.\.[ \t]|:\w+:))"  # heading, table row, quotation, directive, field
    r"|\n[ \t]*[=\-~^\"'#*+_`]{3,}[ \t\r]*(?:\n|$)"  # an underline or a rule
    r"|(?<=\|)[ \t\r]*\n"  # the end of a table row
)
_HEADING = re.compile(r"\s*#{1,6}[ \t][^\n]*\n")
_ORNAMENT = re.compile(r"^[\s>#*+•|\-=~^_:.\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]*(?:\d{1,2}[.)]\s+)?|[\s|#=~^\-]*$")


class Sentence(NamedTuple):
    """A sentence and its place: `text[start:end]` of the text it was found in."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of a text in order, bullets, heading marks and surrounding space left out."""
    found = []
    for start, end in _pieces(text):
        for low, high in _stops(text, start, end):
            if sentence := _trimmed(text, low, high):
                found.append(sentence)
    return found


def flatten(text: str) -> str:
    """The text on one line, as an answer shows it."""
    return " ".join(text.split())


class SentenceStream:
    """Cuts generated text into sentences as it arrives; a sentence is given out once its end is certain.

    A sentence's end is certain when the next one has begun, since `[1]` may still follow the full stop. In an answer
    every line break ends a sentence.
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> list[str]:
        """Take more text; return the sentences that are complete now, markers included."""
        self._pending += text.replace("\n", "\n\n")
        sentences = split_sentences(self._pending)
        if len(sentences) < 2:
            return []
        begun = -2 if _MARKER_BEGUN.fullmatch(sentences[-1].text) else -1
        self._pending = self._pending[sentences[begun].start :]
        return [flatten(sentence.text) for sentence in sentences[:begun]]

    def flush(self) -> list[str]:
        """The rest, after the stream has ended."""
        rest, self._pending = self._pending, ""
        return [flatten(sentence.text) for sentence in split_sentences(rest)]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for low, high in [*(gap.span() for gap in _STRUCTURE.finditer(text)), (len(text), len(text))]:
        if heading := _HEADING.match(text, start, low):
            yield start, heading.end()
            start = heading.end()
        yield start, low
        start = high


def _stops(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    low = start
    for stop in _STOP.finditer(text, start, end):
        following = text[stop.end() : end].lstrip()
        if following and _OPENING.match(following) and not _is_abbreviation(text[low : stop.start()], stop.group()):
            yield low, stop.end()
            low = stop.end()
    yield low, end


def _is_abbreviation(before: str, stop: str) -> bool:
    last = re.search(r"([\w.]+)$", before)
    if not last or not stop.startswith(".") or len(stop) > 1:
        return False
    word = last.group(1)
    initial = len(word) == 1 and word.isupper()
    dotted = "." in word.strip(".") and word.replace(".", "").isalpha()
    return initial or dotted or word.lower() in _ABBREVIATIONS


def _trimmed(text: str, start: int, end: int) -> Sentence | None:
    piece = text[start:end]
    head = _ORNAMENT.match(piece)
    low = head.end() if head else 0
    high = len(re.sub(r"[\s|#=~^\-]+$", "", piece))
    if not re.search(r"\w", piece[low:high]):
        return None
    return Sentence(piece[low:high], start + low, start + high)
