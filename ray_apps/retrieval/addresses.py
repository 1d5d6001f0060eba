"""What replicas of retrieval call things among themselves."""

from typing import NamedTuple

ALWAYS = ("main",)
"""The corpora that every replica holds from its start on."""


class Address(NamedTuple):
    """One shard of an index version."""

    corpus: str
    version: str
    number: int
