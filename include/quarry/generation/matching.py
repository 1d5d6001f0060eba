"""Compares the words of a claim with the words of a text: which are the same, where, and in which order.

Words that are the same have the same stem. That is looked at first: a sentence is compared with every word of every
passage before it leaves, and a call for each of them was most of what that took.
"""

from collections.abc import Sequence

from include.quarry.generation.wording import Word


def same_word(a: Word, b: Word) -> bool:
    """Numbers and names by their spelling, plain words by their stem."""
    if "number" in (a.kind, b.kind):
        return a.stem == b.stem and (a.kind == b.kind)
    if a.kind == "name" and b.kind == "name":
        return a.form == b.form
    return a.stem == b.stem


def is_among(word: Word, words: Sequence[Word]) -> bool:
    """Whether the word is one of the words."""
    stem = word.stem
    return any(same_word(word, other) for other in words if other.stem == stem)


def occurrences(word: Word, words: Sequence[Word]) -> list[Word]:
    """The words that are the same as the word."""
    stem = word.stem
    return [other for other in words if other.stem == stem and same_word(word, other)]


def alignment(claim: Sequence[Word], words: Sequence[Word], *, polarity: bool = False) -> list[int]:
    """Places in `words` of a longest common subsequence with the claim; with `polarity`, negated words match only
    negated ones."""

    def match(a: Word, b: Word) -> bool:
        return a.stem == b.stem and same_word(a, b) and not (polarity and a.negated != b.negated)

    lengths = [[0] * (len(words) + 1) for _ in range(len(claim) + 1)]
    for i in range(len(claim) - 1, -1, -1):
        for j in range(len(words) - 1, -1, -1):
            longest = max(lengths[i + 1][j], lengths[i][j + 1])
            lengths[i][j] = max(longest, lengths[i + 1][j + 1] + 1) if match(claim[i], words[j]) else longest
    i = j = 0
    places = []
    while i < len(claim) and j < len(words) and lengths[i][j]:
        if lengths[i][j] == lengths[i][j + 1]:
            j += 1
        elif lengths[i][j] == lengths[i + 1][j]:
            i += 1
        else:
            places.append(j)
            i, j = i + 1, j + 1
    return places
