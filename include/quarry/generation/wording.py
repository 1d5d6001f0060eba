"""Reads a text into the words that carry its meaning, so that two texts can be compared word by word.

A word knows its stem, whether it is a number or a name, and whether a negation governs it. The stemmer is Snowball's
for English, as in the lexical index; function words are the closed class that can be dropped or exchanged without
changing a statement. Words such as "before", "only", "most" or "must" do change it, and so are none of them.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

Kind = Literal["plain", "name", "number"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Vowels and accents that stand on a letter, which "\w" leaves out: without them other words would be the same.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0730-\u074a\u07a6-\u07b0"
    "\u08d3-\u0963\u0966-\u0e3e\u0e40-\u109f\u1712-\u17d3\u1ab0-\u1aff\u1b00-\u1b44\u200c\u200d\u3099\u309a"
)
_TOKEN = re.compile(
    r"(?:(?<![^\s(\[^$€£])[-\u2212])?\d+(?:[.,:]\d+)*\w*"  # a minus belongs to its number
    rf"|[aApP]\.[mM]\b|[^\W\d_][\w{_MARKS}]*(?:['\u2019]\w+)*(?:\+\+|\#)?|_\w+"
    r"|[%\u2030$\u00a2-\u00a5\u0e3f\u20a0-\u20cf½]|[<>\u2264\u2265\u2260]=?(?=\s?[-\u2212]?\d)"
    r"|[,;:()\u2014\u2013!?|\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u060c\u061b\u061f\u06d4\u0964]|\.(?=\s|$)"
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
    "not no never none nobody nothing neither nor cannot without lack lacks lacked lacking fail"
    " fails failed failing unable nowhere refuse refuses refused deny denies denied denying prevent prevents prevented"
    " unless except non isnt arent wasnt werent dont doesnt didnt wont cant havent hasnt hadnt couldnt shouldnt wouldnt"
    " mustnt neednt myth false untrue incorrect"
)
_SAID_NEGATORS = _set(
    "hardly barely seldom rarely scarcely few"
    " nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder"
    " ne pas jamais aucun aucune sans rien ni nunca jamás ningún ninguna ninguno nadie nada tampoco"
    " não jamais nenhum nenhuma sem ninguém mai nessun nessuno nessuna senza né niet geen nooit zonder niemand niets"
    " inte ikke ikkje aldrig aldri ingen inga inget utan uden uten nigdy bez není nikdy değil yok ei eivät"
    " не нет ни никогда без нельзя никто ничего ні немає δεν δε μη μην όχι ποτέ χωρίς"
    " لا لم لن ليس ليست غير بدون לא אין בלי नहीं न मत बिना không chưa tidak bukan belum tanpa 안 못"
)
"""Negators that are words of the sentence besides, and govern the clause before them, too: those that only lessen, and
those of other languages, some of which mean something else in English."""
_SOME = _set("a the past next last first every these those")
"""Before "few" these make it a number of things that there are."""
_SCOPE_ENDS = _set(
    ", ; : ( ) \u2014 \u2013 . ! ? | \u3001 \u3002 \uff01 \uff0c \uff1a \uff1b \uff1f \u060c \u061b \u061f \u06d4"
    " \u0964 but however although though while whereas because yet since unless when which"
)
_SCOPE_WORDS = 7
_UNITS = {
    "%": "percent",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "½": "half",
    "<=": "\u2264",
    ">=": "\u2265",
}
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
    scope = negations = clause = 0
    initial = True
    previous = ""
    word_end = -1
    by = False
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    for match in _TOKEN.finditer(text):
        token = match.group().replace("\u2019", "'").replace("\u2212", "-")
        lower = token.lower()
        if lower in _SCOPE_ENDS and not negations:
            scope, clause = 0, len(words)
        negates = _negates(lower, previous, text[match.end() : match.end() + 9].lower())
        if negates:
            scope = _SCOPE_WORDS
            negations += 1
        if negates and lower in _SAID_NEGATORS:
            words[clause:] = [replace(word, negated=True) for word in words[clause:]]
        if (not negates or lower in _SAID_NEGATORS) and (
            word := _content(token, lower, previous, initial, text[match.end() : match.end() + 4])
        ):
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


def _negates(lower: str, previous: str, following: str) -> bool:
    if lower == "few":
        return previous not in _SOME
    if lower in ("not", "no") and following.lstrip().startswith(("only", "just")):
        return False
    if lower in ("instead", "rather"):
        return following.lstrip().startswith(("of", "than"))
    return lower in _NEGATORS or lower in _SAID_NEGATORS or lower.endswith("n't") or lower.startswith("n'")


def _content(token: str, lower: str, previous: str, initial: bool, following: str) -> tuple[str, str, Kind] | None:
    """Form, stem and kind of a token that bears meaning; None for a function word or a punctuation mark."""
    form = re.sub(r"'(?:s|re|ve|ll|d|m)?$", "", lower)
    counts = form != "one" or not (previous in _NO_NUMBER_AFTER or following.startswith(" of"))
    if not (token[0].isalnum() or token[0] in "_-"):  # a sign: what there is no word for stands for itself
        sign = _UNITS.get(token, token)
        return None if token in _SCOPE_ENDS else (sign, sign, "plain")
    if token in _UNITS:
        return _UNITS[token], _UNITS[token], "plain"
    if token[0] == "-" or (token[0].isnumeric() and not token[0].isalpha()):
        value = re.sub(r"(?<=\d),(?=\d{3})", "", lower)
        value = f"-{value}" if previous == "minus" else value
        return value, value, "number"
    if form in _NUMBERS and counts:
        return form, _NUMBERS[form], "number"
    if form in ("a.m", "p.m") or (form == "am" and previous[:1].isdigit()):
        form = form.replace(".", "")
    elif form in _FUNCTION and not _is_label(token, previous, initial):
        return None
    opens = initial and token[1:].islower() and not re.match(r"[ -][A-Z]", following)
    named = "_" in token or not (token.islower() or opens)
    return form, stem_of(form), "name" if named and len(token) > 1 else "plain"


def _is_label(token: str, previous: str, initial: bool) -> bool:
    """Whether capitals make a function word something else: "US", "IT", the last word of "vitamin A" or "Henry I"."""
    if len(token) > 1 or not token.isupper():
        return token.isupper()
    pronoun = previous in _FUNCTION or previous in _SCOPE_ENDS
    return token not in ("A", "I") or not (initial or (token, pronoun) == ("I", True))


@lru_cache(maxsize=1)
def _analyzer() -> TextAnalyzer:
    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build()
