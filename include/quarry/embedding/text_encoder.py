"""Turns texts into token ids exactly as the embedding model wants them, whatever the texts hold."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

_CHARS_PER_TOKEN = 200
"""A token of natural text has about five characters; what lies beyond these many a token is never looked at."""


class TextEncoder:
    """The model's own tokenizer, cutting at `max_tokens`, special tokens included. Thread-safe."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, `[CLS]` and `[SEP]` included, unpadded."""
        readable = [readable_text(text, self._max_tokens) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable)]


def readable_text(text: str, max_tokens: int) -> str:
    """The text as every tokenizer accepts it: valid Unicode (a lone surrogate becomes `?`), and no endless tail."""
    text = text[: max_tokens * _CHARS_PER_TOKEN]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
