"""The line of headings above a passage: `Title > Section > Subsection`."""

from collections.abc import Sequence

from include.quarry.chunking.words import WordCounter

_SEPARATOR = " > "


def context_of(title: str, above: Sequence[str], opening: str, budget: int, counter: WordCounter) -> str:
    """The title and the headings above a passage in at most `budget` tokens.

    The title is left out where it would be said twice: when it is the first heading, or when a passage under no heading
    begins with it (`opening` is how the passage begins). When there is no room for all, the middle goes first, then the
    ends of the title and of the innermost heading.
    """
    title = " ".join(title.split())
    said = _same(above[0], title) if above else _begins(opening, title)
    labels = [*([] if said else [title]), *above]
    whole = _SEPARATOR.join(filter(None, labels))
    if counter.tokens(whole) <= budget:
        return whole
    if len(labels) > 1:
        whole = _SEPARATOR.join(_clip(label, budget // 2 - 1, counter) for label in (labels[0], labels[-1]))
    return _clip(whole, budget, counter)


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(" .").casefold()


def _same(heading: str, title: str) -> bool:
    return _plain(heading) == _plain(title)


def _begins(opening: str, title: str) -> bool:
    start, rest = _plain(opening[: 2 * len(title)]), _plain(title)
    return start.startswith(rest) and not start[len(rest) : len(rest) + 1].isalnum()


def _clip(label: str, budget: int, counter: WordCounter) -> str:
    """As many whole words of the label as fit."""
    end = total = 0
    for _, after, tokens in counter.words(label):
        total += tokens
        if total > budget:
            break
        end = after
    return label[:end]
