"""HTML: the text that a reader sees, without scripts, styles and navigation."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Literal, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.text import decode, readable
from include.quarry.records import Block

_DECLARED = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_DECLARED_WITHIN_BYTES = 1024  # where the HTML standard stops looking
_ENCODINGS = re.compile(
    r"utf-?8|us-ascii|latin-?1|iso-8859-\d+|windows-\d+|koi8-[ru]|shift_jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5"
)
_WESTERN = {"iso-8859-1", "latin1", "latin-1", "us-ascii"}  # on the Web these names mean Windows-1252

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)(?:[^<>]*(/>))?")
_MAX_DEPTH = 2000  # the time of a tree builder grows with the square of the depth: 0.2 s here
_SHAPE = re.compile(r"path|circle|ellipse|line|polygon|polyline|rect|stop|use")
_MAX_SHAPES = 50_000  # that end themselves, as a picture has them: inside of one they open nothing
_NEEDS_NO_END = re.compile(
    r"area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|html|head|body|p|li|dt|dd|option|optgroup|"
    r"thead|tbody|tfoot|tr|td|th|colgroup|caption|rt|rp"
)
_DROPPED = re.compile(r"head|script|style|nav|template|noscript|iframe|object|svg|button|select|textarea")
_INLINE = re.compile(
    r"a|abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|math|q|rp|rt|ruby|s|samp|small|"
    r"span|strike|strong|sub|sup|time|tt|u|var|wbr|-.*|!.*"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_IN_TABLE = {"tr": "\n", "td": " | ", "th": " | "}


class _Event(NamedTuple):
    kind: Literal["open", "close", "text"]
    value: str


class HtmlParser:
    """Reads `text/html` in the encoding that it declares; white space is folded as a browser would."""

    def blocks(self, content: bytes) -> Iterator[Block]:
        source = decode(content, _encoding(content))
        _refuse_deep_nesting(source)
        return readable(_Writer().blocks(_walk(LexborHTMLParser(source).root)))


def _encoding(content: bytes) -> str:
    """The declared encoding if it is one that Web pages use, else UTF-8."""
    declared = _DECLARED.search(content[:_DECLARED_WITHIN_BYTES])
    name = declared[1].decode("ascii", "replace").lower() if declared else ""
    if not _ENCODINGS.fullmatch(name):
        return "utf-8"
    return "windows-1252" if name in _WESTERN else name


def _refuse_deep_nesting(source: str) -> None:
    open_tags: Counter[str] = Counter()
    for end, name, ended in _TAG.findall(source):
        tag = name.lower()
        if ended and _SHAPE.fullmatch(tag) and open_tags[ended] < _MAX_SHAPES:
            open_tags[ended] += 1
        elif not end and not _NEEDS_NO_END.fullmatch(tag):
            open_tags[tag] += 1
            if open_tags[tag] > _MAX_DEPTH:
                raise UnreadableContent(
                    f"more than {_MAX_DEPTH} <{tag}> are open at once; at most {_MAX_DEPTH} are allowed; close them"
                )
        elif end and open_tags[tag]:
            open_tags[tag] -= 1


def _walk(node: LexborNode | None) -> Iterator[_Event]:
    """The tree as a reader meets it. Without recursion, since the depth is the author's choice."""
    while node is not None:
        tag = node.tag or ""
        if tag == "-text":
            yield _Event("text", node.text_content or "")
        else:
            yield _Event("open", tag)
            if not _DROPPED.fullmatch(tag) and node.first_child is not None:
                node = node.first_child
                continue
            yield _Event("close", tag)
        while node is not None and node.next is None:
            node = node.parent
            yield _Event("close", node.tag or "" if node is not None else "")
        node = node.next if node is not None else None


class _Writer:
    """Collects the text of the open block until an element ends it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open: Counter[str] = Counter()

    def blocks(self, events: Iterator[_Event]) -> Iterator[Block]:
        for event in chain(events, [_Event("close", "html")]):
            if event.kind == "text":
                self._parts.append(event.value if self._open["pre"] else re.sub(r"\s+", " ", event.value))
            elif event.value == "br":
                self._parts.append("\n" if event.kind == "open" else "")
            elif not _INLINE.fullmatch(event.value):
                yield from self._boundary(event)

    def _boundary(self, event: _Event) -> Iterator[Block]:
        tag, closing = event.value, event.kind == "close"
        within = self._open["pre"] or self._open["table"]
        if tag in _HEADINGS or tag in {"pre", "table"} or not within:
            yield from self._flush(_HEADINGS.get(tag, 0) if closing else 0)
        elif self._open["table"]:
            self._parts.append(_IN_TABLE.get(tag, " ") if closing else " ")
        self._open[tag] += -1 if closing else 1

    def _flush(self, level: int) -> Iterator[Block]:
        """The open block, if it has any text."""
        text, self._parts = "".join(self._parts), []
        code = self._open["pre"] > 0
        text = text.strip("\r\n") if code else "\n".join(filter(None, (_fold(line) for line in text.split("\n"))))
        if not text.strip():
            return
        if level:
            yield Block(text + "\n\n", "heading", level)
        else:
            yield Block(text + "\n\n", "code" if code else "table" if self._open["table"] else "prose")


def _fold(line: str) -> str:
    return " ".join(line.split()).removesuffix(" |")
