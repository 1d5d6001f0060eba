"""The driver port: a query in, scored passages out."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What one query brought: (doc_id, score) of each passage, best first, and the state that answered."""

    passages: tuple[tuple[str, float], ...]
    index_version: str
    watermark: int


class Driver(Protocol):
    """Puts queries to one corpus as one tenant; may be called by many tasks at once."""

    @property
    def name(self) -> str:
        """What the report calls this way of asking."""
        ...

    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        """The `top_k` best passages. Raises `Unavailable` when nothing answers, `InvalidInput` when it refuses."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
