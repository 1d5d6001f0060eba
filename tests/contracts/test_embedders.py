"""What every embedder promises, whatever its engine and precision."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import Misconfigured
from include.quarry.records import Float32
from include.quarry.specs import EmbeddingSpec

CACHE = Path(__file__).parents[2] / ".quarry/models"
"""Kept between runs: converting takes seconds, quantising half a minute."""

ENGINES = [
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("sentence_transformer", "fp32"),
    ("sentence_transformer", "bf16"),
]

TEXTS = [
    "How are index versions promoted?",
    "A promotion changes one row, so requests in flight finish on the version they began with. " * 6,
    "cat",
    "The retriever fuses a dense and a lexical list by reciprocal rank. " * 3,
    "Überprüfung der Daten · проверка данных · データの検証",
    "",
    "def add(a, b):\n    return a + b\n",
    "Deletes win over everything. " * 40,
]


@cache
def load(engine: str, dtype: str) -> Embedder:
    return load_embedder(replace(EmbeddingSpec(), dtype=dtype), engine=engine, threads=2, cache=CACHE)  # type: ignore[arg-type]


@pytest.fixture(scope="session", params=ENGINES, ids="-".join)
def embedder(request: pytest.FixtureRequest) -> Iterator[Embedder]:
    yield load(*request.param)


@pytest.fixture(scope="session")
def tolerance(embedder: Embedder) -> float:
    """How far below 1 the cosine of two encodings of one text may be, by precision."""
    return {"fp32": 1e-5, "bf16": 5e-4, "int8": 5e-4}[embedder.spec.dtype]


def cosines(left: Float32, right: Float32) -> Float32:
    return np.asarray((left * right).sum(axis=1), dtype=np.float32)


def test_gives_one_float32_vector_of_length_one_for_each_text(embedder: Embedder) -> None:
    values = embedder.encode(TEXTS).values
    assert values.dtype == np.float32
    assert values.shape == (len(TEXTS), embedder.spec.dimensions)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)


def test_tags_vectors_with_the_fingerprint_of_the_spec(embedder: Embedder) -> None:
    assert embedder.encode(TEXTS[:1]).fingerprint == embedder.spec.fingerprint


def test_keeps_the_order_of_the_texts(embedder: Embedder, tolerance: float) -> None:
    forward, backward = embedder.encode(TEXTS).values, embedder.encode(TEXTS[::-1]).values
    assert cosines(forward, backward[::-1]).min() > 1 - tolerance
    distinct = forward @ forward.T - np.eye(len(TEXTS))
    assert distinct.max() < 0.9


def test_encodes_the_same_text_twice_alike(embedder: Embedder) -> None:
    np.testing.assert_allclose(embedder.encode(TEXTS).values, embedder.encode(TEXTS).values, atol=1e-6)


def test_the_neighbours_in_a_batch_do_not_change_a_vector(embedder: Embedder, tolerance: float) -> None:
    together = embedder.encode(TEXTS).values
    alone = np.concatenate([embedder.encode([text]).values for text in TEXTS])
    assert cosines(together, alone).min() > 1 - tolerance


def test_a_bulk_of_texts_gives_the_vectors_of_a_few(embedder: Embedder, tolerance: float) -> None:
    bulk = embedder.encode(TEXTS * 8).values.reshape(8, len(TEXTS), -1)
    few = embedder.encode(TEXTS).values
    assert min(cosines(part, few).min() for part in bulk) > 1 - tolerance


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.encode([]).values.shape == (0, embedder.spec.dimensions)
    assert embedder.encode([]).values.dtype == np.float32


def test_text_beyond_the_limit_is_cut_off(embedder: Embedder, tolerance: float) -> None:
    long = "word " * (embedder.spec.max_tokens - 2)
    values = embedder.encode([long, long + "and then something else entirely", long + "word " * 100_000]).values
    assert cosines(values, values[[1, 2, 0]]).min() > 1 - tolerance


def test_the_last_token_within_the_limit_counts(embedder: Embedder, tolerance: float) -> None:
    room = embedder.spec.max_tokens - 2
    full, shorter = embedder.encode(["word " * (room - 20) + "volcano " * 20, "word " * (room - 20)]).values
    assert float(full @ shorter) < 1 - 10 * tolerance


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\ud800", "half \udcff a pair", "\U0001f600" * 300, "\u202eabc", " \n\t ", "\x07" * 50]
)
def test_any_string_has_a_vector(embedder: Embedder, text: str) -> None:
    values = embedder.encode([text, "a plain sentence"]).values
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)


def test_eight_threads_at_once_get_their_own_vectors(embedder: Embedder, tolerance: float) -> None:
    short = [text for text in TEXTS if len(text) < 100]
    expected = embedder.encode(short).values

    def worst_cosine(turn: int) -> float:
        rows = np.roll(np.arange(len(short)), turn)
        texts = [short[row] for row in rows] * (1 + turn % 2 * 2)
        values = embedder.encode(texts).values[: len(rows)]
        return float(cosines(values, expected[rows]).min())

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(worst_cosine, range(8))) > 1 - tolerance


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_engines_agree_on_a_spec(dtype: str) -> None:
    left, right = (load(engine, dtype).encode(TEXTS) for engine in ("openvino", "sentence_transformer"))
    assert left.fingerprint == right.fingerprint
    assert cosines(left.values, right.values).min() >= 0.999


def test_bf16_agrees_with_fp32() -> None:
    exact = load("openvino", "fp32").encode(TEXTS).values
    assert cosines(load("openvino", "bf16").encode(TEXTS).values, exact).min() >= 0.999


def test_texts_of_every_length_come_near_their_fp32_vectors(embedder: Embedder) -> None:
    """Engines have a kernel for each shape, and any one of them may be wrong: a width of 32 once was, in INT8."""
    bound = {"fp32": 0.9999, "bf16": 0.999, "int8": 0.99}[embedder.spec.dtype]
    texts = [" ".join((TEXTS[1] * 4).split()[:words]) for words in (*range(2, 68, 2), *range(70, 250, 12))]
    exact = load("openvino", "fp32").encode(texts).values
    alone = np.concatenate([embedder.encode([text]).values for text in texts])
    assert cosines(alone, exact).min() >= bound
    assert cosines(embedder.encode(texts).values, exact).min() >= bound


def test_int8_is_a_space_of_its_own_near_fp32() -> None:
    exact, quantised = (load("openvino", dtype).encode(TEXTS) for dtype in ("fp32", "int8"))
    assert quantised.fingerprint != exact.fingerprint
    assert np.median(cosines(quantised.values, exact.values)) > 0.995


def test_torch_refuses_int8_and_names_the_engine_that_has_it() -> None:
    with pytest.raises(Misconfigured, match="choose engine openvino"):
        load("sentence_transformer", "int8")
