"""Compares the embedding engines with sentence-transformers' own `encode` in fp32, in one run.

`python -m tests.benchmarks.embedding_engines`: bulk rate on passages of 256 tokens, latency of a lone query, and what
micro-batching gives 16 concurrent askers. Rounds of all engines alternate, so that a busy machine burdens all alike;
read the ratios, not the rates.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from include.quarry.embedding.calibration import calibration_texts
from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.micro_batch import MicroBatcher
from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.embedding.protocol import Embedder
from include.quarry.embedding.text_encoder import TextEncoder
from include.quarry.records import Float32
from include.quarry.specs import EmbeddingSpec

SPEC = EmbeddingSpec()
ASKERS = 16


@dataclass
class Contestant:
    """One engine, with what was measured of it."""

    name: str
    encode: Callable[[list[str]], Float32]
    rates: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    vectors: Float32 = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passages", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".quarry/models"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    engines = {
        dtype: load_embedder(
            replace(SPEC, dtype=dtype), engine="openvino", threads=arguments.threads, cache=arguments.cache
        )
        for dtype in ("fp32", "bf16", "int8")
    }
    reference = SentenceTransformer(str(find_model_folder(SPEC)), device="cpu")
    contestants = [Contestant("sentence-transformers fp32", reference.encode)]
    contestants += [Contestant(f"openvino {dtype}", _encode_with(engine)) for dtype, engine in engines.items()]
    passages, queries = _passages(arguments.passages), _queries(40)
    for contestant in contestants:
        contestant.vectors = contestant.encode(passages)  # warm, too
    for _ in range(arguments.rounds):
        for contestant in contestants:
            _measure(contestant, passages, queries)
    _print_engines(contestants)
    for dtype in ("bf16", "int8"):
        asyncio.run(_print_micro_batching(dtype, engines[dtype], queries))


def _encode_with(engine: Embedder) -> Callable[[list[str]], Float32]:
    return lambda texts: engine.encode(texts).values


def _passages(count: int) -> list[str]:
    """Texts of at least 256 tokens, no two alike."""
    texts = calibration_texts(1000)
    encoder = TextEncoder(find_model_folder(SPEC), SPEC.max_tokens)
    passages: list[str] = []
    for start in range(0, len(texts), 10):
        for size in range(1, 40):
            passage = " ".join(texts[start : start + size])
            if len(encoder.token_ids([passage])[0]) == SPEC.max_tokens:
                passages.append(passage)
                break
    return (passages * (1 + count // max(len(passages), 1)))[:count]


def _queries(count: int) -> list[str]:
    """The first ten words of a text: about what a user types."""
    return [" ".join(text.split()[:10]) for text in calibration_texts(count)]


def _measure(contestant: Contestant, passages: list[str], queries: list[str]) -> None:
    started = time.perf_counter()
    contestant.encode(passages)
    contestant.rates.append(len(passages) / (time.perf_counter() - started))
    for query in queries:
        started = time.perf_counter()
        contestant.encode([query])
        contestant.latencies_ms.append((time.perf_counter() - started) * 1000)


def _print_engines(contestants: Sequence[Contestant]) -> None:
    base = contestants[0]
    print(f"{'engine':28} {'docs/s':>7} {'ratio':>6} {'query p50 ms':>13} {'ratio':>6} {'cos mean':>9} {'cos min':>8}")
    for contestant in contestants:
        rate, p50 = (statistics.median(c) for c in (contestant.rates, contestant.latencies_ms))
        cosines = (contestant.vectors * base.vectors).sum(axis=1)
        print(
            f"{contestant.name:28} {rate:7.1f} {rate / statistics.median(base.rates):5.2f}x {p50:13.2f} "
            f"{statistics.median(base.latencies_ms) / p50:5.2f}x {cosines.mean():9.5f} {cosines.min():8.5f}"
        )


async def _print_micro_batching(dtype: str, engine: Embedder, queries: list[str]) -> None:
    """The batcher against calling the engine directly, one query after the other, by turns."""
    batcher = MicroBatcher(engine)

    async def ask(texts: list[str]) -> None:
        for text in texts:
            await batcher.encode(text)

    direct_ms, alone_ms, alone_rates, crowd_rates = [], [], [], []
    for turn in range(6):
        started = time.perf_counter()
        for query in queries:
            before = time.perf_counter()
            engine.encode([query])
            between = time.perf_counter()
            await batcher.encode(query)
            direct_ms.append((between - before) * 1000)
            alone_ms.append((time.perf_counter() - between) * 1000)
        alone_rates.append(2 * len(queries) / (time.perf_counter() - started))
        crowd = [[f"{query} {asker}" for query in queries[asker::4]] for asker in range(ASKERS)]
        started = time.perf_counter()
        await asyncio.gather(*map(ask, crowd))
        if turn > 0:  # the first turn meets new shapes, which are slow once
            crowd_rates.append(sum(map(len, crowd)) / (time.perf_counter() - started))
    direct, alone = statistics.median(direct_ms), statistics.median(alone_ms)
    rate, one_by_one = statistics.median(crowd_rates), statistics.median(alone_rates[1:])
    print(
        f"micro-batching {dtype}: query p50 {direct:.2f} ms direct, {alone:.2f} ms through the batcher; "
        f"{ASKERS} askers {rate:.0f} queries/s, one by one {one_by_one:.0f} ({rate / one_by_one:.2f}x)"
    )
    await batcher.close()


if __name__ == "__main__":
    main()
