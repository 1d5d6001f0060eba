"""Whether an answer holds the gold one. Both are normalised as SQuAD's own script does (Rajpurkar et al., 2016)."""

import re
import string
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKERS = re.compile(r"\[\d+\]")


def holds(answer: str, gold: Sequence[str]) -> bool:
    """Whether any spelling of the gold answer stands in the answer, as whole words."""
    words = f" {_normal(_MARKERS.sub('', answer))} "
    return any(f" {_normal(each)} " in words for each in gold)


def _normal(text: str) -> str:
    plain = "".join(" " if letter in string.punctuation else letter for letter in text.lower())
    return " ".join(_ARTICLES.sub(" ", plain).split())
