"""A driver without a network."""

from collections.abc import Mapping, Sequence

from evaluation.drivers.protocol import Retrieved


class ScriptedDriver:
    """Answers each query from a table; unknown queries find nothing."""

    name = "scripted"

    def __init__(self, answers: Mapping[str, Sequence[tuple[str, float]]], versions: Sequence[str] = ("v1",)) -> None:
        self._answers = answers
        self._versions = versions
        self.asked: list[str] = []
        self.closed = False

    async def retrieve(self, query: str, *, top_k: int) -> Retrieved:
        version = self._versions[min(len(self.asked), len(self._versions) - 1)]
        self.asked.append(query)
        return Retrieved(tuple(self._answers.get(query, ())[:top_k]), version, watermark=7)

    async def close(self) -> None:
        self.closed = True
