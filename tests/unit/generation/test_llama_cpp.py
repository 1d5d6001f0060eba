"""An engine that fails or hangs: its callers hear of it in time, and the passages answer in its place."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.quarry.errors import Unavailable
from include.quarry.generation import llama_cpp
from include.quarry.generation.answering import Answerer
from include.quarry.generation.answers import Answer
from include.quarry.generation.llama_cpp import LlamaCppModel
from include.quarry.generation.protocol import Message, Wish
from tests.door import visit

from .conftest import MakeHit, tiers_of

_SILENCE_S = 1.0
_LONG_SILENCE_S = 3.0  # where the engine must never be late, however busy the machine is
_PATIENCE_S = 10.0
Receive = Callable[[str], bool]


class Engine:
    """Plays a generation of each name in `plan`, one a call, the last one again and again."""

    def __init__(self, *plan: str) -> None:
        self.plan = list(plan)
        self.calls = 0
        self.freed = threading.Event()
        self._counting = threading.Lock()

    def handle_chat_completions(self, _request: str, receive: Receive) -> None:
        with self._counting:
            act = self.plan[min(self.calls, len(self.plan) - 1)]
            self.calls += 1
        if act == "crash":
            raise RuntimeError("out of memory in ggml")
        if act == "crash midway":
            receive(said("Gran"))
            raise RuntimeError("out of memory in ggml")
        if act == "hang midway":
            receive(said("Gran"))
        if act.startswith("hang"):
            self.freed.wait(_PATIENCE_S)
        if act == "slow":
            for _ in range(8):
                time.sleep(_LONG_SILENCE_S / 12)
                receive(said("Granite. "))
        if act == "well":
            receive(said("Granite."))


def said(text: str) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}}]})


@pytest.fixture
def model_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Engine], LlamaCppModel]]:
    made: list[tuple[LlamaCppModel, Engine]] = []

    def make(engine: Engine, *, silence_s: float = _SILENCE_S, **how: int) -> LlamaCppModel:
        monkeypatch.setattr(llama_cpp, "_load", lambda *_: engine)
        made.append((LlamaCppModel(Path("model.gguf"), silence_s=silence_s, **how), engine))
        return made[-1][0]

    yield make
    for model, engine in made:
        engine.freed.set()
        model.close()


async def text_of(model: LlamaCppModel) -> str:
    return "".join([delta.text async for delta in model.stream([Message("user", "What?")], max_tokens=8)])


@pytest.mark.parametrize("how", ["crash", "crash midway", "hang", "hang midway"])
async def test_the_passages_answer_in_time_when_the_engine_does_not(
    model_of: Callable[[Engine], LlamaCppModel], make_hit: MakeHit, how: str
) -> None:
    answerer = Answerer(tiers_of({"fast": model_of(Engine(how))}))
    question, hits = (
        "What language is Ruff written in?",
        [make_hit("Ruff is written in Rust. Bread is baked in an oven.")],
    )
    async with asyncio.timeout(_PATIENCE_S / 2):
        events = [event async for event in answerer.answer(question, hits, Wish(), visit())]
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert answer.tier == "extractive"
    assert "Rust" in answer.text


async def test_those_who_wait_behind_a_hung_generation_are_told_too(
    model_of: Callable[[Engine], LlamaCppModel],
) -> None:
    model = model_of(Engine("hang"))
    async with asyncio.timeout(_PATIENCE_S / 2):
        told = await asyncio.gather(*(text_of(model) for _ in range(4)), return_exceptions=True)
        with pytest.raises(Unavailable, match=r"said nothing for 1 s"):
            await text_of(model)
    assert {type(error) for error in told} == {Unavailable}


async def test_a_hung_generation_is_noticed_also_when_another_slot_has_come_to_its_end(
    model_of: Callable[..., LlamaCppModel],
) -> None:
    model = model_of(Engine("hang", "well"), parallel=2)
    async with asyncio.timeout(_PATIENCE_S / 2):
        told = await asyncio.gather(text_of(model), text_of(model), return_exceptions=True)
        assert {type(each) for each in told} == {str, Unavailable}
        with pytest.raises(Unavailable):
            model.check()


async def test_a_long_queue_before_an_engine_at_work_is_no_silence(
    model_of: Callable[..., LlamaCppModel],
) -> None:
    model = model_of(Engine("slow", "slow", "well"), silence_s=_LONG_SILENCE_S)
    texts = await asyncio.gather(*(text_of(model) for _ in range(3)))
    assert texts == ["Granite. " * 8, "Granite. " * 8, "Granite."]


async def test_an_engine_that_comes_round_answers_again(model_of: Callable[[Engine], LlamaCppModel]) -> None:
    engine = Engine("hang", "crash", "well")
    model = model_of(engine)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await text_of(model)
        engine.freed.set()
    async with asyncio.timeout(_PATIENCE_S / 2):
        while True:
            try:
                assert await text_of(model) == "Granite."
                return
            except Unavailable:
                assert engine.calls <= 2


async def test_nobody_waits_for_a_turn_that_a_closed_model_will_not_give(
    model_of: Callable[[Engine], LlamaCppModel],
) -> None:
    engine = Engine("hang")
    model = model_of(engine)
    waiting = [asyncio.create_task(text_of(model)) for _ in range(2)]
    await asyncio.sleep(0)
    threading.Timer(0.02, engine.freed.set).start()
    await asyncio.to_thread(model.close)
    async with asyncio.timeout(_PATIENCE_S / 2):
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[1], Unavailable)
