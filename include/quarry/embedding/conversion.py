"""Converts a torch model into OpenVINO's format, mean pooling included. Reached only when the cache has none yet."""

import warnings
from pathlib import Path

import openvino as ov
import torch
from transformers import AutoModel
from transformers.utils import logging


class _Pooled(torch.nn.Module):
    """The transformer with the mean of its last hidden states over the tokens that are not padding."""

    def __init__(self, transformer: torch.nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """int64 `[n, t]` twice -> float32 `[n, d]`, not normalised."""
        states = self.transformer(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=torch.zeros_like(input_ids)
        ).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled: torch.Tensor = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return pooled


def convert(source: Path, target: Path) -> None:
    """Write the model of folder `source` to the file `target` (.xml) and its weights beside it: fp32, any shape.

    The way through ONNX with eager attention ends in fused attention and GELU, which no other way that was tried did
    better: traced directly by OpenVINO it is as fast in floating point and slower once quantised.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    ids = torch.ones(2, 16, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    exchange = target.with_suffix(".onnx")
    axes = {0: "n", 1: "t"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of every shape that it reads, all of which are meant
        torch.onnx.export(
            _Pooled(model),
            (ids, mask),
            str(exchange),
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "embedding": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    ov.save_model(ov.convert_model(exchange), target, compress_to_fp16=False)
    exchange.unlink()
