"""What makes a sentence false though all its words are in the passage: negations, exchanged roles, moved numbers.

Each check takes the claim's text and words and a window that has all of its words, and returns what is wrong, or "".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, takewhile

from include.quarry.generation.matching import alignment, is_among, occurrences, same_word
from include.quarry.generation.windows import Window
from include.quarry.generation.wording import Word

IN_ORDER = 0.60
NEAR_WORDS = 4
SUBJECT_WORDS = 4
_SCALES = {"thousand", "million", "billion", "trillion", "dozen", "mn", "bn"}

Check = Callable[[str, Sequence[Word], Window], str]


def find_contradiction(text: str, claim: Sequence[Word], window: Window) -> str:
    """The first thing wrong, or "" if the window bears out the claim."""
    return next((wrong for check in _CHECKS if (wrong := check(text, claim, window))), "")


def _repeated(text: str, claim: Sequence[Word], window: Window) -> str:
    """A name or number that the claim uses more often than the window and its headings do."""
    for word in claim:
        said = len(occurrences(word, window.words)) + len(occurrences(word, window.heading))
        if word.kind != "plain" and len(occurrences(word, claim)) > said:
            return f"the passage does not say {word.form!r} so often"
    return ""


def _contrary(text: str, claim: Sequence[Word], window: Window) -> str:
    """A word, or the whole claim, under a negation on one side only."""
    for word in claim:
        polarities = {other.negated for other in window.words if same_word(word, other)}
        if polarities and word.negated not in polarities:
            return f"the passage says the opposite about {word.form!r}"
    said = _negations_along(alignment(claim, window.words, polarity=True), window.words)
    return "" if said == sum(word.negations for word in claim) else "one of the two has another negation"


def _negations_along(places: Sequence[int], words: Sequence[Word]) -> int:
    """Negations of the words at `places`, with those of the words skipped before a word that they still govern."""
    negations, previous = 0, -1
    for place in places:
        skipped = words[previous + 1 : place] if words[place].negated else ()
        negations += words[place].negations + sum(word.negations for word in skipped)
        previous = place
    return negations


def _exchanged(text: str, claim: Sequence[Word], window: Window) -> str:
    """Two names, or a name and a number, that relate to each other differently."""
    fixed = [word for word in claim if _is_fixed(word, window) and is_among(word, window.words)]
    for index, first in enumerate(fixed):
        for second in fixed[index + 1 :]:
            if not same_word(first, second) and not _in_place(first, second, claim, window):
                return f"{first.form!r} and {second.form!r} have changed roles"
    return ""


def _broken_name(text: str, claim: Sequence[Word], window: Window) -> str:
    """A name of several words that are not together in the window or in its headings."""
    said = [*pairwise(window.words), *pairwise(window.heading)]
    for first, second in pairwise(claim):
        together = second.joined and second.place == first.place + 1
        named = together and _is_fixed(first, window) and _is_fixed(second, window)
        if named and not any(same_word(first, a) and same_word(second, b) for a, b in said):
            return f"'{first.form} {second.form}' is not together in the passage"
    return ""


def _misplaced_subject(text: str, claim: Sequence[Word], window: Window) -> str:
    """A word that only a heading, or a name that only the leading sentence has, where it is not the claim's subject."""
    own, before = window.words[window.lead :], window.words[: window.lead]
    for index, word in enumerate(claim):
        if is_among(word, own):
            continue
        if is_among(word, before):
            subject = word.kind == "plain" or is_among(word, before[:SUBJECT_WORDS])
        else:
            named_late = word.kind == "name" and any(is_among(other, own) for other in claim[:index])
            subject = index < SUBJECT_WORDS and not named_late
        if not subject:
            return f"{word.form!r} belongs to something else in the passage"
    return ""


def _stray(text: str, claim: Sequence[Word], window: Window) -> str:
    """A name or number whose neighbours in the claim are nowhere near it in the window."""
    for word in claim:
        if _is_fixed(word, window) and is_among(word, window.words) and not _keeps_company(word, claim, window.words):
            return f"{word.form!r} stands in another place in the passage"
    return ""


def _disordered(text: str, claim: Sequence[Word], window: Window) -> str:
    """Too few of the words in the passage's order, as when plain nouns change roles."""
    shared = sum(1 for word in claim if is_among(word, window.words))
    in_order = len(alignment(claim, window.words)) / shared
    turned = any(word.by for word in claim) != any(word.by for word in window.words)
    return "" if in_order >= IN_ORDER or turned else "the words stand in another order"


def _detached(text: str, claim: Sequence[Word], window: Window) -> str:
    """A number whose counted thing stands far from it in the window."""
    plain = text.lower().replace(",", "").replace("\u2212", "-")
    for number, counted in pairwise(claim):
        if number.kind != "number" or counted.kind == "number":
            continue
        if not re.search(rf"(?<!\w){re.escape(number.form)}[\s-]+{re.escape(counted.form)}", plain):
            continue
        numbers = occurrences(number, window.words)
        if numbers and not any(is_among(counted, _counted_by(place, window.words)) for place in numbers):
            return f"the number {number.form!r} counts something else in the passage"
    return ""


def _cut_short(text: str, claim: Sequence[Word], window: Window) -> str:
    """A number that is only a part of the window's: "5" of "5 million", "twenty" of "twenty-five"."""
    said = set(_figures(window.words))
    for figure in _figures(claim):
        if figure not in said and any(word.stem == figure[0] and word.kind == "number" for word in window.words):
            return f"the passage has another number than {' '.join(figure)!r}"
    return ""


def _figures(words: Sequence[Word]) -> Iterator[tuple[str, ...]]:
    """The numbers, each with the words that make it larger: stems."""
    figure: list[str] = []
    for word in words:
        spelled = word.kind == "number" and word.form[0].isalpha()
        if figure and (word.stem == "percent" or (word.joined and (spelled or word.stem in _SCALES))):
            figure.append(word.stem)
            continue
        if figure:
            yield tuple(figure)
        figure = [word.stem] if word.kind == "number" else []
    if figure:
        yield tuple(figure)


def _in_place(first: Word, second: Word, claim: Sequence[Word], window: Window) -> bool:
    """Whether the two stand in the same order as in the window, or in the other one with the voice changed."""
    pairs = [(a, b) for a in occurrences(first, window.words) for b in occurrences(second, window.words)]
    numbers = (first.kind == "number") + (second.kind == "number")
    if numbers:
        kept = any(a.place < b.place for a, b in pairs)
        if numbers == 2:
            return kept or all(_counts_the_same(word, claim, window.words) for word in (first, second))
        return kept or _fronted(first, claim) or any(_fronted(b, window.words) for _, b in pairs)
    doer = _has_doer(claim, first, second)
    return any(
        (a.place < b.place) == (_has_doer(window.words, a, b) == doer) or _listed(window, a, b) for a, b in pairs
    )


def _has_doer(words: Sequence[Word], a: Word, b: Word) -> bool:
    """Whether a "by" stands between two words of one text, so that the later one did it."""
    low, high = sorted((a.place, b.place))
    return any(word.by for word in words if low < word.place <= high)


def _counts_the_same(number: Word, claim: Sequence[Word], words: Sequence[Word]) -> bool:
    following = claim[claim.index(number) + 1 :][:1]
    return bool(following) and any(
        same_word(following[0], words[place + 1])
        for place in (other.place for other in occurrences(number, words))
        if place + 1 < len(words)
    )


def _keeps_company(word: Word, claim: Sequence[Word], words: Sequence[Word]) -> bool:
    at = claim.index(word)
    neighbours = [other for other in (*claim[max(0, at - 1) : at], *claim[at + 1 : at + 2]) if is_among(other, words)]
    places = [other.place for other in occurrences(word, words)]
    return not neighbours or any(
        abs(other.place - place) <= NEAR_WORDS
        for place in places
        for neighbour in neighbours
        for other in occurrences(neighbour, words)
        if other.place != place
    )


def _counted_by(number: Word, words: Sequence[Word]) -> list[Word]:
    """What a number counts: the words run together with it, or those near it where nothing follows it closely."""
    run = list(takewhile(lambda word: word.joined, words[number.place + 1 :]))
    return run or [word for word in words if abs(word.place - number.place) <= NEAR_WORDS]


def _is_fixed(word: Word, window: Window) -> bool:
    return word.kind != "plain" or any(other.kind == "name" for other in occurrences(word, window.words))


def _fronted(word: Word, words: Sequence[Word]) -> bool:
    """Whether a number opens the sentence, alone or as the year of a month."""
    return word.kind == "number" and word.place <= words[0].place + word.joined


def _listed(window: Window, a: Word, b: Word) -> bool:
    low, high = sorted((a.place, b.place))
    return all(word.kind == "name" for word in window.words[low : high + 1]) and bool(
        re.search(
            rf"\b{re.escape(window.words[low].form)}\b[^.;:()]*?(?:,|\band\b|\bor\b)[^.;:()]*?"
            rf"\b{re.escape(window.words[high].form)}\b",
            window.text,
            re.IGNORECASE,
        )
    )


_CHECKS: tuple[Check, ...] = (
    _repeated,
    _contrary,
    _exchanged,
    _broken_name,
    _misplaced_subject,
    _stray,
    _disordered,
    _detached,
    _cut_short,
)
