"""The words of a text as numbers: what is compared, without keeping what was said.

A reference outlives the documents it was made of, so it holds neither their texts nor their words.
"""

import re
from collections.abc import Iterable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
"""Distinct words of one text, each as its CRC-32, ascending. Of a million words two may share a number; no matter."""

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Scripts that put no space between words: each sign counts as one."""
_LETTERS = f"[^\\W\\d_{_UNSPACED}]+"
_WORD = re.compile(f"[{_UNSPACED}]|{_LETTERS}(?:['\u2019]{_LETTERS})*")


def words_of(text: str) -> Words:
    """The words of a text. Digits are none: dates and versions change without the wording doing so."""
    return np.array(sorted({_number(word) for word in _spelled(text)}), dtype=np.uint32)


def spell(texts: Iterable[str]) -> dict[int, str]:
    """What the numbers of these texts' words stand for."""
    return {_number(word): word for text in texts for word in _spelled(text)}


def _spelled(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _number(word: str) -> int:
    return crc32(word.encode())
