"""The stretches of a passage that can bear out a claim: a sentence, or two when the second leans back on the first."""

from collections.abc import Sequence
from dataclasses import dataclass

from include.quarry.generation.evidence import Evidence, Statement
from include.quarry.generation.wording import Word, read_words


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of passage `marker` at the document's offsets `[start, end)`, with the words of the headings above.

    The first `lead` of `words` come from the sentence that the last one leans back on with a pronoun.
    """

    marker: int
    start: int
    end: int
    text: str
    words: tuple[Word, ...]
    heading: tuple[Word, ...]
    lead: int


def find_windows(evidence: Sequence[Evidence]) -> list[Window]:
    """Every stretch of the passages that states something; questions state nothing."""
    windows = []
    for passage in evidence:
        previous: Statement | None = None
        for statement in passage.statements:
            if not statement.asks:
                windows.append(_window(passage, statement, statement))
                if previous and statement.leans_back and not previous.asks:
                    windows.append(_window(passage, previous, statement))
            previous = statement
    return windows


def _window(passage: Evidence, first: Statement, last: Statement) -> Window:
    text = last.text if first is last else f"{first.text} {last.text}"
    words = read_words(text)
    lead = len(words) - len(last.words)
    return Window(passage.marker, first.start, last.end, text, words, passage.heading_words, lead)
