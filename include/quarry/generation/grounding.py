"""Decides, sentence by sentence, whether an answer is supported by its passages, and by which one.

A sentence is supported when one passage has a *window* (a sentence, or two when the second leans back on the first
with a pronoun; the headings above count as its subject) in which all of this holds:

1. **Coverage.** Every meaning-bearing word of the sentence is there, compared by Snowball stem; numbers, versions and
   names by spelling. Words that only report ("according to the passage") need no support.
2. **Polarity.** A word under a negation is there under a negation, and one without is there without.
3. **Roles.** Names, and numbers with names, stand in the same order, or in the reverse order if exactly one of the two
   is in the passive ("by"); members of a list may change places. The longest common subsequence of the words reaches
   `IN_ORDER`, which catches exchanged roles of plain nouns.
4. **Attachment.** What a number counts, the word after it, stands near that number, and the number is whole.

The measure is strict on purpose: a true sentence that is dropped costs words, a false one that passes costs trust.
What it cannot see: wrong conclusions spelled only with the passage's own words, in the passage's own order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from include.quarry.generation.contradictions import NEAR_WORDS, find_contradiction
from include.quarry.generation.evidence import Evidence, strip_markup
from include.quarry.generation.matching import alignment, is_among, same_word
from include.quarry.generation.sentences import MARKERS, QUESTION_MARKS
from include.quarry.generation.windows import Window, find_windows
from include.quarry.generation.wording import Word, is_reporting, read_words

SHORT_WORDS = 3
"""An answer of at most so many words ("In 1999.") is judged together with the question."""
ABOUT_QUESTION = 0.5
_OPENING = re.compile(r"(?:the|this)\s+(?:\w+\s+){0,2}?(?:answer|sentence)\b[^:.]{0,60}:\s*(?=\S)", re.IGNORECASE)
_ASKS_WHAT = re.compile(r"\b(?:who|whom|whose|what|which|when|where|why|how)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Support:
    """The place that bears out a sentence: passage `marker`, document offsets `[start, end)`."""

    marker: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged sentence, its markers removed. `reason` says what is missing where `supports` is empty."""

    text: str
    supports: tuple[Support, ...]
    reason: str = ""

    @property
    def supported(self) -> bool:
        return bool(self.supports)


def check_sentence(sentence: str, evidence: Sequence[Evidence], *, question: str = "") -> Verdict:
    """Judge one sentence. Its own markers are kept where they are right, and replaced by the best passage elsewhere."""
    cited = {int(number) for group in MARKERS.findall(sentence) for number in re.findall(r"\d+", group)}
    text = _bare(sentence)
    claim = tuple(word for word in read_words(strip_markup(text)) if not is_reporting(word))
    if text.endswith((*QUESTION_MARKS, ":")) or len(claim) < (1 if question else 2):
        return Verdict(text, (), "it states nothing that could be checked")
    asked = read_words(question)
    short = len(claim) <= (SHORT_WORDS if _ASKS_WHAT.search(question) else 1)
    if short and all(is_among(word, asked) for word in claim):
        return Verdict(text, (), "it only repeats the question")
    supports: dict[int, Support] = {}
    reason, furthest = "no passage says anything like it", 0.0
    for window in find_windows(evidence):
        missing, score = _judge(text, claim, asked, window)
        if not missing:
            known = supports.get(window.marker)
            if known is None or score > known.score:
                supports[window.marker] = Support(window.marker, window.start, window.end, score)
        elif score > furthest:
            reason, furthest = missing, score
    if not supports:
        return Verdict(text, (), reason)
    right = tuple(supports[marker] for marker in sorted(cited & supports.keys()))
    return Verdict(text, right or (max(supports.values(), key=lambda support: (support.score, -support.marker)),))


def _bare(sentence: str) -> str:
    """The sentence without markers, and without an opening such as "The answer is:"."""
    text = re.sub(r"\s+([.,;:!?])", r"\1", MARKERS.sub("", sentence)).strip()
    opening = _OPENING.match(text)
    return text[opening.end() :].strip(" \"'\u201c\u201d") if opening else text


def _judge(text: str, claim: tuple[Word, ...], asked: tuple[Word, ...], window: Window) -> tuple[str, float]:
    """What the window lacks, "" if it supports the claim; and how well it fits, in [0, 1]."""
    absent = [word for word in claim if not is_among(word, window.words) and not is_among(word, window.heading)]
    score = 1 - len(absent) / len(claim)
    if absent:
        return f"{absent[0].form!r} is not in the passage", score
    if not any(is_among(word, window.words) for word in claim):
        return "only a heading mentions it", score / 2
    if wrong := find_contradiction(text, claim, window):
        return wrong, score
    if asked and len(claim) <= SHORT_WORDS and not _answers(claim, asked, window):
        return "so short an answer does not fit the question", score
    return "", score * (0.5 + 0.5 * len(alignment(claim, window.words)) / len(claim))


def _answers(claim: Sequence[Word], asked: Sequence[Word], window: Window) -> bool:
    about = [word for word in asked if is_among(word, window.words) or is_among(word, window.heading)]
    if len(about) < ABOUT_QUESTION * len(asked):
        return False
    numbers = [
        other.place for word in claim for other in window.words if word.kind == "number" and same_word(word, other)
    ]
    topics = [other.place for word in about for other in window.words if same_word(word, other)]
    return not numbers or any(abs(a - b) <= NEAR_WORDS for a in numbers for b in topics)
