"""The torch engine: sentence-transformers, on a GPU where there is one. It is the reference that others agree with."""

import logging
from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from include.quarry.embedding.model_folder import find_model_folder
from include.quarry.embedding.text_encoder import readable_text
from include.quarry.embedding.unit_length import unit_length
from include.quarry.errors import Misconfigured
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

_log = logging.getLogger(__name__)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_HAS_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
_BATCH_TEXTS = {"cpu": 16, "cuda": 256}


class SentenceTransformerEmbedder:
    """Encodes one call at a time: the model's tokenizer must not be used by two threads at once.

    `threads` bounds torch on the CPU, for the whole process, which is all that torch offers. A processor without bf16
    arithmetic computes a bf16 spec in fp32: doing it in software takes many times as long for no other vectors.
    Raises `Misconfigured` for an INT8 spec and when the model cannot be found or verified.
    """

    def __init__(self, spec: EmbeddingSpec, *, threads: int) -> None:
        if spec.dtype not in _DTYPES:
            raise Misconfigured(
                f"engine sentence_transformer cannot compute dtype {spec.dtype!r}, only {sorted(_DTYPES)}; "
                "choose engine openvino"
            )
        device, dtype = "cuda" if torch.cuda.is_available() else "cpu", _DTYPES[spec.dtype]
        if device == "cpu":
            torch.set_num_threads(threads)
            if dtype == torch.bfloat16 and not any(map(torch.cpu.get_capabilities().get, _HAS_BF16)):
                _log.warning("this processor has no bf16 arithmetic: the bf16 spec is computed in fp32")
                dtype = torch.float32
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._spec = spec
        self._batch_texts = _BATCH_TEXTS[device]
        self._model = SentenceTransformer(str(find_model_folder(spec)), device=device, model_kwargs={"dtype": dtype})
        self._model.max_seq_length = spec.max_tokens
        self._turn = Lock()

    @property
    def spec(self) -> EmbeddingSpec:
        return self._spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        values = np.empty((0, self._spec.dimensions), dtype=np.float32)
        if texts:
            readable = [readable_text(text, self._spec.max_tokens) for text in texts]
            with self._turn:
                values = self._model.encode(readable, batch_size=self._batch_texts, show_progress_bar=False)
        return Vectors(self._spec.fingerprint, unit_length(values.astype(np.float32, copy=False)))
