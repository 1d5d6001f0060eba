"""The CPU engine: OpenVINO on a model that was converted once."""

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import openvino as ov

from include.quarry.embedding.batches import MAX_BATCH_TOKENS, pack
from include.quarry.embedding.infer_pool import InferPool
from include.quarry.embedding.model_cache import cached_folder
from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.embedding.text_encoder import TextEncoder
from include.quarry.embedding.unit_length import unit_length
from include.quarry.errors import Misconfigured
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

_log = logging.getLogger(__name__)

_FLOAT_RECIPE = 1
_INT8_RECIPE = 4
"""Count the ways models were made: a new way must not meet the old way's file in the cache."""

_QUERY_TOKENS = 16
_MODEL_FILE = "model.xml"


class OpenVinoEmbedder:
    """Encodes on `threads` cores: few tokens as one batch on all cores, many tokens as one batch on each core.

    `cache` is the folder that keeps converted models between processes. bf16 arithmetic is used where the processor
    has it; elsewhere a bf16 spec is served in fp32, which agrees with it to cosine .9999.
    Raises `Misconfigured` when the model cannot be found, verified or written to the cache.
    """

    def __init__(self, spec: EmbeddingSpec, *, threads: int, cache: Path) -> None:
        source = find_model_folder(spec)
        self._spec = spec
        self._threads = threads
        self._text_encoder = TextEncoder(source, spec.max_tokens)
        self._core = ov.Core()
        self._model = self._core.read_model(_converted(spec, source, cache) / _MODEL_FILE)
        if (found := self._model.output(0).partial_shape[1].to_string()) != str(spec.dimensions):
            raise Misconfigured(
                f"model {spec.model!r} gives {found} dimensions, the spec says {spec.dimensions}; correct the spec"
            )
        self._precision = self._choose_precision()
        self._together = self._compile(streams=1)
        self._apart: InferPool | None = None
        self._compiling = Lock()
        self.encode(["x" * 2 * _QUERY_TOKENS])  # the first inference is slow: let it not be a user's

    @property
    def spec(self) -> EmbeddingSpec:
        return self._spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        sequences = self._text_encoder.token_ids(texts)
        values = np.empty((len(texts), self._spec.dimensions), dtype=np.float32)
        much = self._threads > 1 and sum(map(len, sequences)) > MAX_BATCH_TOKENS
        pool = self._apart_pool() if much else self._together
        pool.run(pack(sequences), values)
        return Vectors(self._spec.fingerprint, unit_length(values))

    def _apart_pool(self) -> InferPool:
        """Compiled when bulk work first comes: a process that only answers queries never pays for it."""
        with self._compiling:
            if self._apart is None:
                self._apart = self._compile(streams=self._threads)
            return self._apart

    def _compile(self, streams: int) -> InferPool:
        compiled = self._core.compile_model(
            self._model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": self._precision,
                "INFERENCE_NUM_THREADS": self._threads,
                "NUM_STREAMS": streams,
                "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
            },
        )
        return InferPool(compiled, size=streams + 1)  # one more, so that no core waits while results are collected

    def _choose_precision(self) -> str:
        if self._spec.dtype == "fp32":
            return "f32"
        if "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "bf16"
        _log.warning("this processor has no bf16 arithmetic: the %s spec is computed in fp32", self._spec.dtype)
        return "f32"


def _converted(spec: EmbeddingSpec, source: Path, cache: Path) -> Path:
    """The folder of the converted model; bf16 and fp32 share one, since precision is chosen when it is loaded."""
    stem = f"{source.name if spec.model.startswith(('/', '.', '~')) else spec.model.replace('/', '--')}-{spec.revision}"

    def convert(target: Path) -> None:
        from include.quarry.embedding import conversion  # noqa: PLC0415  # imports torch: only for a model not cached

        conversion.convert(source, target / _MODEL_FILE)

    def quantise(target: Path) -> None:
        from include.quarry.embedding import quantisation  # noqa: PLC0415  # imports nncf: only for a model not cached

        quantisation.quantise(floating / _MODEL_FILE, target / _MODEL_FILE, source)

    floating = cached_folder(cache, f"{stem}-float-r{_FLOAT_RECIPE}", convert)
    if spec.dtype != "int8":
        return floating
    return cached_folder(cache, f"{stem}-int8-r{_INT8_RECIPE}", quantise)
