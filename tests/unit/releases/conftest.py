"""A tier in this process over a catalog: its replica follows the route, and its models are scripted."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.releases import Release, create_release, find_release
from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.generation.composition import default_release
from include.quarry.generation.model_tier import ModelTier
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import Delta, LanguageModel, Message, Usage
from include.quarry.generation.queue import TierQueue
from include.quarry.generation.writing import LIMITS, Writer
from include.quarry.releases import held
from include.quarry.releases.held import HeldReleases
from include.quarry.settings import Settings

SAID = "Ruff has 800 rules. "
BRIEF = "Answer briefly.\n---\n$passages\nQuestion: $question"
_PATIENCE_S = 60.0


@dataclass
class Model:
    """Says a sentence, and no more until `go_on`; keeps the prompts that it is given."""

    name: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    prompts: list[Sequence[Message]] = field(default_factory=list)

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[Delta]:
        self.prompts.append(messages)
        if max_tokens == 1:
            yield Delta("Yes", Usage(3, 1))
            return
        yield Delta(f"{SAID}And", Usage(50, 6))
        await self.go_on.wait()
        yield Delta(" more.", Usage(50, 8))

    def check(self) -> None: ...


class Replica:
    """The fast tier of one process. `loading` holds back whoever loads a model until it is set."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.models: dict[str, Model] = {}
        self.away_for = 0
        self.loading = asyncio.Event()
        self.loading.set()
        self._loop = asyncio.get_running_loop()
        self.held = HeldReleases(database, default_release("fast", settings), self._open)
        self.tier = ModelTier("fast", self.held, TierQueue(slots=2, places=4))

    def _open(self, release: Release, model: LanguageModel | None) -> Writer:
        """Called on the loop where the model is here, and on a thread where it has to be loaded."""
        if model is None:
            asyncio.run_coroutine_threadsafe(self.loading.wait(), self._loop).result()
            if release.model.startswith("unknown"):
                raise Misconfigured(f"model {release.model!r} is neither of those there are")
            if release.model == "away" and self.away_for:
                self.away_for -= 1
                raise Unavailable("the server is not there")
            model = self.models.setdefault(release.model, Model(release.model))
        prompt = PromptTemplate.parse(release.template)
        return Writer(model, prompt, LIMITS["fast"], release_id=release.release_id)

    def chosen(self, tenant: str = "red", question: str = "How many rules has Ruff?") -> str:
        return self.held.choose(tenant, question).origin.release_id

    def create(self, release_id: str, *, model: str = "smollm2-135m", template: str = BRIEF) -> None:
        what: dict[str, Any] = {"tier": "fast", "model": model, "template": template}
        with self.database.write() as connection:
            create_release(connection, release_id, prompt_version=PromptTemplate.parse(template).version, **what)

    def do(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """One transaction."""
        with self.database.write() as connection:
            return step(connection, *arguments)

    def find(self, release_id: str) -> Release:
        with self.database.read() as connection:
            return find_release(connection, release_id)


@pytest.fixture
async def replica(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    """A replica that answers by what the settings say."""
    for name in ("_LOOK_S", "_LOAD_AGAIN_S"):
        monkeypatch.setattr(held, name, 0.002)
    replica = Replica(database, Settings(_env_file=None))
    await replica.held.begin()
    yield replica
    replica.loading.set()
    await replica.held.stop()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(_PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what it waits for is in the catalog
            await asyncio.sleep(0.001)
