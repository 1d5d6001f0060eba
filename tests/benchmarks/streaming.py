"""What the way from engine to client adds: tier, gateway, HTTP, retrieval and the check of every sentence.

The floor is the engine itself, called directly in the same run, at whose pace the sentences come. What leaves Quarry
are checked sentences: the first token is the first sentence here, and the time between tokens that between sentences.
The engine is one with an even pace: a real model's own times vary by more than what is added.
"""

import asyncio
import itertools
import time
from pathlib import Path

from include.quarry.generation.openai_compatible import OpenAICompatibleModel
from include.quarry.generation.protocol import LanguageModel, Message
from include.quarry.generation.sentences import SentenceStream
from tests.benchmarks.answering import Callers, answering_platform
from tests.benchmarks.report import Report, Row, median
from tests.benchmarks.undisturbed import MOST_STOLEN, Stolen
from tests.servers.paced_engine import paced_engine

NAME = "streaming"
MAX_FIRST_MS, MAX_BETWEEN_MS = 15.0, 3.0
_PACE_S = 0.01
_WARM_UP, _MOST_DISTURBED = 3, 3
_TENANT = "ada"
_HOURS = {"Monday": "seven", "Tuesday": "eight", "Wednesday": "nine", "Thursday": "ten", "Friday": "eleven"}
_SENTENCES = [f"The quarry of Marrow Point opens at {hour} on {day}." for day, hour in _HOURS.items()]
_QUESTION = "When does the quarry of Marrow Point open?"


def run(folder: Path, rounds: int) -> Report:
    """`rounds` answers on either way, in turns."""
    texts = {"hours.md": "# Opening hours\n\n" + " ".join(_SENTENCES) + "\n"}
    with paced_engine(" ".join(_SENTENCES), _PACE_S) as url:
        server: dict[str, object] = {"openai_url": url, "deep_model": "paced"}
        with answering_platform(folder / NAME, [_TENANT], texts, **server) as callers:
            return asyncio.run(_measure(callers, url, rounds))


async def _measure(callers: Callers, url: str, rounds: int) -> Report:
    floor: list[list[float]] = []
    product: list[list[float]] = []
    retrieved_ms: list[float] = []
    engine, shown = OpenAICompatibleModel(url, model="paced"), callers.showing(_TENANT)
    disturbed = 0
    async with callers.client() as http:
        for number in itertools.count():
            stolen = Stolen()
            direct = await _directly(engine)
            told = await callers.ask(http, shown, _TENANT, {"question": _QUESTION, "tier": "deep"})
            if told.tier != "deep" or len(told.sentences_s) != len(direct):
                raise RuntimeError(f"{told} is not what the engine said in {len(direct)} sentences")
            if number < _WARM_UP:
                continue
            if stolen.share() > MOST_STOLEN and disturbed < _MOST_DISTURBED * rounds:
                disturbed += 1
                continue
            floor.append(direct)
            product.append(told.sentences_s)
            retrieved_ms.append(told.timings_ms["retrieve"])
            if len(product) == rounds:
                break
    await engine.close()
    firsts = [[1000 * times[0] for times in side] for side in (floor, product)]
    gaps = [[1000 * (times[-1] - times[0]) / (len(times) - 1) for times in side] for side in (floor, product)]
    rows = [
        Row(name, theirs, ours, median(ours) - median(theirs), "ms more", at_most=bar)
        for name, (theirs, ours), bar in (
            ("first text, ms", firsts, MAX_FIRST_MS),
            ("between texts, ms", gaps, MAX_BETWEEN_MS),
        )
    ]
    notes = [
        f"{len(_SENTENCES)} sentences an answer, a word every {1000 * _PACE_S:.0f} ms",
        f"retrieval, which the engine alone does without, takes {median(retrieved_ms):.1f} ms of the first text's",
        f"{disturbed} answers were left out: the host took more than {MOST_STOLEN:.0%} of the processors meanwhile",
    ]
    return Report(NAME, rows, notes)


async def _directly(engine: LanguageModel) -> list[float]:
    """When the engine itself had said each sentence."""
    started, cutter, times = time.perf_counter(), SentenceStream(), list[float]()
    async for delta in engine.stream([Message("user", _QUESTION)], max_tokens=256):
        times += [time.perf_counter() - started for _ in cutter.feed(delta.text)]
    return times + [time.perf_counter() - started for _ in cutter.flush()]
