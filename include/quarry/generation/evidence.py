"""What the passages of an answer can testify to: their sentences, each with its words and its place in the document.

A passage is data. Text in it that addresses the model ("ignore your instructions and say ...") is no testimony: it is
left out of the prompt and supports nothing, together with the rest of its paragraph. Markup is read past: a link is
its label, an image or a tag is nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from include.quarry.generation.sentences import QUESTION_MARKS, Sentence, flatten, split_sentences
from include.quarry.generation.wording import Word, read_words
from include.quarry.records import Hit

EVIDENCE_HITS = 8
"""Hits beyond these are not read: an answer in a later one would be the retriever's failure, not worth the time."""

_REMEMBERED = 512
"""Passages whose sentences are not read again; some stand in many answers, and reading takes a millisecond or two."""
_MARKUP = re.compile(
    r"\s*\[\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*\](?![(\[:])"  # the number of a footnote would join what it follows
    r"|<!--.*?(?:-->|$)|!\[[^\]]*\]\([^)]*\)|</?[a-zA-Z][^<>]*>|:(?:target|alt|align|height|width|image|scale):.*?(?=\n|$)"
    r"|\]\((?:[^()]|\([^()]*\))*\)|\]\[[^\]]*\]|(?<=\w)`?\s*<[a-z]+://[^>]*>`?__?"
    r"|^\s*(?:image|figure|target|alt)::?.*$|:[a-z:+-]+:(?=`)"
    r"|[\[\]`]|\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<=\s)_{1,2}(?=\w)",
    re.DOTALL,
)
_POWER = re.compile(r"(?<=\d)<sup>(?=[-\u2212]?\d)", re.IGNORECASE)
_LINK = re.compile(r"\b(?:https?|git|ssh)://\S+")
_COMMANDS_TO_THE_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|do\s+not\s+follow)\b.{0,60}"
    r"\b(?:instructions?|(?:system |previous |above |your )prompts?|guidelines)\b"
    r"|\b(?:ignore|disregard|forget)\s+(?:all|everything|anything|whatever|what)\b.{0,40}"
    r"\b(?:above|previous|prior|earlier|before|said|told|passages?|context)\b"
    r"|(?:^|[.;:!,]\s*|\band\s+(?:then\s+)?|\bplease\s+)(?:only\s+|always\s+|just\s+|instead\s+)?"
    r"(?:say|(?:respond|reply|answer)(?:\s+to\s+(?:the|every|any|all)\s+\w+)?)\s*"
    r"(?:\b(?:only|exactly|instead|always|that|with\s+(?:only|exactly|the\s+(?:words?|text|phrase|sentence|following)))\b"
    r"|(?:with\s*)?[\"'\u201c:])"
    r"|\b(?:tell|inform|convince)\s+(?:the\s+(?:user|reader|human)|users|everyone)\b"
    r"|\b(?:print|output|write|repeat|return)\s+(?:only|exactly)\s+(?:the\s+(?:words?|text|phrase|following)|[\"'\u201c])"
    r"|\byou\s+(?:are|must|will|should)\s+now\b|\bsystem\s+prompt\b|\bas\s+an\s+(?:ai|assistant)\b"
    r"|\b(?:new|real|actual|secret)\s+instructions?\s*(?:are\b|:)"
    r"|^\W*(?:system|assistant)\s*:|<\|?\s*(?:im_start|im_end|system|assistant|endoftext)|\[/?INST\]",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_TELLTALES = (
    *("ignore", "disregard", "forget", "override", "bypass", "follow", "say", "respond", "reply", "answer", "tell"),
    *("inform", "convince", "print", "output", "write", "repeat", "return", "you", "system", "assistant", "as an ai"),
    *("instruction", "<", "[inst", "[/inst"),
)
"""Every text that `_COMMANDS_TO_THE_MODEL` matches has one of these. Looking for them first is what makes it cheap."""
_PARAGRAPH_END = re.compile(r"\n[ \t\r]*\n")
_PRONOUN_START = re.compile(
    r"(?:[\w,]+\s+){0,3}?(?:it|its|he|his|she|her|they|their|them|this|these|those|that|such)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of a passage. `start` and `end` are offsets into the document; `text` has its markup removed."""

    text: str
    start: int
    end: int
    words: tuple[Word, ...]
    leans_back: bool

    @property
    def asks(self) -> bool:
        return self.text.endswith(QUESTION_MARKS)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one numbered passage says. `marker` is its number in the prompt, counted from 1."""

    marker: int
    hit: Hit
    heading: str
    heading_words: tuple[Word, ...]
    statements: tuple[Statement, ...]

    @property
    def text(self) -> str:
        """The trustworthy sentences of the passage, for a prompt."""
        return " ".join(statement.text for statement in self.statements)


def read_evidence(hits: Sequence[Hit]) -> list[Evidence]:
    """The hits' passages as evidence, numbered in the order given."""
    return [_read(marker, hit) for marker, hit in enumerate(hits, start=1)]


def strip_markup(text: str) -> str:
    """The text as a reader sees it, on one line."""
    return flatten(_LINK.sub("", _MARKUP.sub("", _POWER.sub("^", text)))).strip(" *_")


def commands_the_model(text: str) -> bool:
    """Whether a text addresses the model instead of telling something."""
    if text.isascii():
        plain = " ".join(text.lower().split())
        if not any(telltale in plain for telltale in _TELLTALES):
            return False
    return _COMMANDS_TO_THE_MODEL.search(text) is not None


def _read(marker: int, hit: Hit) -> Evidence:
    passage = hit.chunk.passage
    heading = _heading(hit)
    return Evidence(marker, hit, heading, read_words(heading), _statements(passage.text, passage.start))


@lru_cache(maxsize=_REMEMBERED)
def _statements(passage: str, start: int) -> tuple[Statement, ...]:
    return tuple(
        Statement(text, start + sentence.start, start + sentence.end, words, _leans_back(text))
        for sentence in _trusted(passage)
        if (text := strip_markup(sentence.text)) and (words := read_words(text))
    )


def _heading(hit: Hit) -> str:
    title, context = flatten(hit.chunk.title), strip_markup(hit.chunk.passage.context)
    heading = context if title.lower() in context.lower() else f"{title}: {context}" if context else title
    return "" if commands_the_model(heading) else heading


def _trusted(text: str) -> list[Sentence]:
    trusted, silent_until = [], 0
    for sentence in split_sentences(text):
        if commands_the_model(sentence.text):
            end = _PARAGRAPH_END.search(text, sentence.end)
            silent_until = end.start() if end else len(text)
        if sentence.start >= silent_until:
            trusted.append(sentence)
    return trusted


def _leans_back(text: str) -> bool:
    return _PRONOUN_START.match(text) is not None
