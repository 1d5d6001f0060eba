"""Quantises a converted model to INT8. Reached only when the cache has no quantised model yet."""

import logging
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from numpy.typing import NDArray

from include.quarry.embedding.calibration import calibration_texts
from include.quarry.embedding.text_encoder import TextEncoder

_CALIBRATION_TEXTS = 300
_CALIBRATION_TOKENS = 256

_SMOOTHING = 0.75
"""Share of the activations' outliers that SmoothQuant moves into the weights. Mean cosine to fp32 of documents and of
queries: .992 at .5, .997 at .8, .995 at nncf's default of .95."""

_WIDE_RANGE = r".*layer\.0/output/dense/MatMul"
"""Left in floating point, because its input has the widest range of all: alone it costs .002 of cosine."""

_FLOAT_TYPES = ["Gather", "ScaledDotProductAttention"]
"""Left in floating point: looking up embeddings is no arithmetic, and OpenVINO 2026.4's fused INT8 attention gives
wrong vectors (cosine .8) for texts padded to exactly 32 tokens under bf16, while it is no faster."""


def quantise(source: Path, target: Path, folder: Path) -> None:
    """Write the OpenVINO model of file `source` to the file `target` with INT8 weights and activations.

    Post-training quantisation: weights symmetric for each channel, activations asymmetric for each tensor after
    SmoothQuant (arXiv 2211.10438), with the whole range seen in `calibration_texts`, so that nothing seen is clipped.
    `folder` holds the model's tokenizer.
    """
    nncf.set_log_level(logging.ERROR)
    token_ids = TextEncoder(folder, _CALIBRATION_TOKENS).token_ids(calibration_texts(_CALIBRATION_TEXTS))
    quantised = nncf.quantize(
        ov.Core().read_model(source),
        nncf.Dataset(token_ids, _sample),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=_CALIBRATION_TEXTS,
        ignored_scope=nncf.IgnoredScope(patterns=[_WIDE_RANGE], types=_FLOAT_TYPES, validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=_SMOOTHING),
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
    )
    ov.save_model(quantised, target, compress_to_fp16=False)


def _sample(token_ids: list[int]) -> dict[str, NDArray[np.int64]]:
    ids = np.array([token_ids], dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
