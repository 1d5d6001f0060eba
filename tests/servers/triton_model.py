"""SmolLM2 on Triton, streaming text. In .venv-triton: `python triton_model.py HTTP_PORT GRPC_PORT METRICS_PORT`."""

import json
import os
import queue
import sys
import threading

import numpy as np
import xllamacpp
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def load():
    parameters = xllamacpp.CommonParams()
    parameters.model.path = os.environ["MODEL_FILE"]
    parameters.hostnames = [os.environ["ENGINE_SOCKET"]]
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
    parameters.verbosity = 0
    return xllamacpp.Server(parameters)


engine = load()


def generate(requests):
    (request,) = requests
    prompt = request["text_input"].reshape(-1)[0].decode()
    limit = int(request["max_tokens"].reshape(-1)[0])
    pieces = queue.Queue()

    def receive(event):
        pieces.put(event)
        return False

    def work():
        asked = {"prompt": prompt, "n_predict": limit, "temperature": 0, "stream": True}
        engine.handle_completions(json.dumps(asked), receive)
        pieces.put(None)

    threading.Thread(target=work, daemon=True).start()
    while (event := pieces.get()) is not None:
        if event == "[DONE]":
            continue
        body = json.loads(event)
        text = body.get("content") or "".join(choice.get("text", "") for choice in body.get("choices", ()))
        if text:
            yield [{"text_output": np.array([text.encode()], dtype=object)}]


http, grpc, metrics = map(int, sys.argv[1:4])
config = TritonConfig(
    http_address="127.0.0.1", http_port=http, grpc_address="127.0.0.1", grpc_port=grpc, metrics_port=metrics
)
with Triton(config=config) as triton:
    triton.bind(
        model_name="smollm2",
        infer_func=generate,
        inputs=[
            Tensor(name="text_input", dtype=bytes, shape=(1,)),
            Tensor(name="max_tokens", dtype=np.int32, shape=(1,)),
        ],
        outputs=[Tensor(name="text_output", dtype=bytes, shape=(1,))],
        config=ModelConfig(batching=False, decoupled=True),
    )
    triton.serve()
