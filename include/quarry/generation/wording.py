"""Reads a text into the words that carry its meaning, so that two texts can be compared word by word.

A word knows its stem, whether it is a number or a name, and whether a negation governs it. The stemmer is Snowball's
for English, as in the lexical index; function words are the closed class that can be dropped or exchanged without
changing a statement. Words such as "before", "only", "most" or "must" do change it, and so are none of them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

Kind = Literal["plain", "name", "number"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*\w*|[^\W\d_][\w]*(?:['\u2019]\w+)*|_\w+|[%$€£½]|[,;:()\u2014\u2013!?|]|\.(?=\s|$)"
)
_FUNCTION = _set(
    "a an the this that these those it its he his him she her hers they their them we our us you your i my me itself"
    " is are was were be been being am 's has have had having do does did doing will would shall should can could"
    " of in on at to for with by from as into onto upon about and or nor if so then than also there here which who"
    " whom whose what when where why how s t d ll ve re m such via per e g eg ie etc but"
    " however although though while whereas yet"
)
_REPORTING = _set(
    "according accord answer question sentence passage text document source context state say says said describe"
    " mention note explain refer call name know include includ provid provide offer specif"
    " specifically particular example exampl"
)
_NEGATORS = _set(
    "not no never none nobody nothing neither nor cannot without hardly barely seldom lack lacks lacked lacking fail"
    " fails failed failing unable refuse refuses refused deny denies denied denying prevent prevents prevented unless"
    " except non isnt arent wasnt werent dont doesnt didnt wont cant myth false untrue incorrect"
)
_SCOPE_ENDS = _set(
    ", ; : ( ) \u2014 \u2013 . ! ? | but however although though while whereas because yet since unless when which"
)
_SCOPE_WORDS = 7
_UNITS = {"%": "percent", "$": "dollar", "€": "euro", "£": "pound", "½": "half"}
_NUMBERS = {
    **{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"},
    **{"eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14"},
    **{"fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "20"},
    **{"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"},
    **{"hundred": "100", "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th"},
    **{"sixth": "6th", "seventh": "7th", "eighth": "8th", "ninth": "9th", "tenth": "10th"},
}
_NO_NUMBER_AFTER = _set("the this that no any each every which another some")


@dataclass(frozen=True, slots=True)
class Word:
    """A meaning-bearing word: `form` is its lower-case spelling, `stem` what is compared, `place` its rank in the text.

    `negated` is true inside the scope of a negation: from it to the end of the clause, seven words at most.
    `negations` counts the negations between the word before and this one; `joined` says that only a space or a hyphen
    parts the two, as in "Grand Canyon"; `by` that a "by" precedes it, as the doer of something in the passive.
    """

    form: str
    stem: str
    kind: Kind
    place: int
    negated: bool
    negations: int
    joined: bool
    by: bool


@lru_cache(maxsize=4096)
def read_words(text: str) -> tuple[Word, ...]:
    """The meaning-bearing words of a text in order; negations are kept as the `negated` mark of what they govern."""
    words: list[Word] = []
    scope = negations = 0
    initial = True
    previous = ""
    word_end = -1
    by = False
    for match in _TOKEN.finditer(text):
        token = match.group().replace("\u2019", "'")
        lower = token.lower()
        if lower in _SCOPE_ENDS and not negations:
            scope = 0
        if _negates(lower, text[match.end() : match.end() + 9].lower()):
            scope = _SCOPE_WORDS
            negations += 1
        elif word := _content(token, lower, previous, initial, text[match.end() : match.end() + 4]):
            form, stem, kind = word
            joined = word_end >= 0 and text[word_end : match.start()] in (" ", "-", "\n")
            words.append(Word(form, stem, kind, len(words), scope > 0, negations, joined, by))
            scope, negations, word_end, by = scope - 1, 0, match.end(), False
        if any(letter.isalnum() for letter in token):
            initial = False
        elif lower in (".", "!", "?"):
            initial = True
        by = by or lower == "by"
        previous = lower
    return tuple(words)


@lru_cache(maxsize=65536)
def stem_of(word: str) -> str:
    """Snowball's English stem of one lower-case word."""
    tokens: list[str] = _analyzer().analyze(word)
    return tokens[0] if tokens else word


def is_reporting(word: Word) -> bool:
    """Whether the word only reports ("according to the passage") and so needs no support of its own."""
    return word.kind == "plain" and (word.form in _REPORTING or word.stem in _REPORTING)


def _negates(lower: str, following: str) -> bool:
    if lower in ("not", "no") and following.lstrip().startswith(("only", "just")):
        return False
    if lower in ("instead", "rather"):
        return following.lstrip().startswith(("of", "than"))
    return lower in _NEGATORS or lower.endswith("n't")


def _content(token: str, lower: str, previous: str, initial: bool, following: str) -> tuple[str, str, Kind] | None:
    """Form, stem and kind of a token that bears meaning; None for a function word or a punctuation mark."""
    form = re.sub(r"'(?:s|re|ve|ll|d|m)?$", "", lower)
    counts = form != "one" or not (previous in _NO_NUMBER_AFTER or following.startswith(" of"))
    if token in _UNITS:
        return _UNITS[token], _UNITS[token], "plain"
    if token[0].isdigit():
        value = re.sub(r"(?<=\d),(?=\d{3})", "", lower)
        return value, value, "number"
    if form in _NUMBERS and counts:
        return form, _NUMBERS[form], "number"
    acronym = token.isupper() and len(token) > 1 and not initial
    if not (token[0].isalpha() or token[0] == "_") or (form in _FUNCTION and not acronym):
        return None
    opens = initial and token[1:].islower() and not re.match(r"[ -][A-Z]", following)
    named = "_" in token or not (token.islower() or opens)
    return form, stem_of(form), "name" if named and len(token) > 1 else "plain"


@lru_cache(maxsize=1)
def _analyzer() -> TextAnalyzer:
    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build()
