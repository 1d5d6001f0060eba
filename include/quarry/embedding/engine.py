"""Chooses and loads the engine that computes an embedding spec. Importing this imports neither torch nor openvino."""

from collections.abc import Callable
from functools import cache as once
from pathlib import Path
from threading import Lock
from typing import Literal

from include.quarry.embedding.protocol import Embedder
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec

Engine = Literal["auto", "openvino", "sentence_transformer"]
LoadEmbedder = Callable[[EmbeddingSpec], Embedder]

_GPU_DEVICES = ("nvidia[0-9]*", "dxg")
"""Device files of NVIDIA's driver, on Linux and under WSL."""


def load_embedder(spec: EmbeddingSpec, *, engine: Engine, threads: int, cache: Path) -> Embedder:
    """The embedder of `spec` on `threads` cores; `cache` keeps converted models.

    `auto` is torch on CUDA where torch can use it, and OpenVINO elsewhere and for INT8.
    Raises `Misconfigured` when the model cannot be found or verified, or the engine cannot compute the spec's dtype.
    """
    if engine == "sentence_transformer" or (engine == "auto" and spec.dtype != "int8" and _has_cuda()):
        from include.quarry.embedding.sentence_transformer import SentenceTransformerEmbedder  # noqa: PLC0415

        return SentenceTransformerEmbedder(spec, threads=threads)
    from include.quarry.embedding.openvino import OpenVinoEmbedder  # noqa: PLC0415

    return OpenVinoEmbedder(spec, threads=threads, cache=cache)


def embedders(settings: Settings) -> LoadEmbedder:
    """Loads each embedding spec once a process, by the engine that the settings name. Safe to share between threads."""
    turn, models = Lock(), settings.models

    @once
    def load(spec: EmbeddingSpec) -> Embedder:
        return load_embedder(spec, engine=settings.embedding_engine, threads=settings.embedding_threads, cache=models)

    def embedder_of(spec: EmbeddingSpec) -> Embedder:
        with turn:  # who asks meanwhile waits for the one that is being loaded
            return load(spec)

    return embedder_of


def _has_cuda() -> bool:
    """Whether torch can use a GPU. Torch, which takes seconds to import, is asked only if there is a device file."""
    if not any(any(Path("/dev").glob(pattern)) for pattern in _GPU_DEVICES):
        return False
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()
