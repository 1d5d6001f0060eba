"""Runs batches through a compiled OpenVINO model from any number of threads at once."""

from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue

import openvino as ov

from include.quarry.embedding.batches import Batch
from include.quarry.records import Float32

_Flying = deque[tuple[ov.InferRequest, Batch]]


class InferPool:
    """A fixed set of infer requests that callers borrow; each caller keeps as many in flight as it can get.

    A caller waits for a free request only while it holds none, and otherwise finishes its own oldest one: so callers
    cannot wait for one another in a circle.
    """

    def __init__(self, compiled: ov.CompiledModel, size: int) -> None:
        self._free: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(size):
            self._free.put(compiled.create_infer_request())

    def run(self, batches: Iterable[Batch], values: Float32) -> None:
        """Write the vector of row `i` of each batch to `values[batch.rows[i]]`."""
        flying: _Flying = deque()
        try:
            for batch in batches:
                request = self._borrow(flying, values)
                flying.append((request, batch))
                request.start_async([batch.ids, batch.mask])
            while flying:
                self._land(flying, values)
        finally:
            for request, _ in flying:  # only after an error: no request may return to the pool while it runs
                request.cancel()
                self._free.put(request)

    def _borrow(self, flying: _Flying, values: Float32) -> ov.InferRequest:
        while True:
            try:
                return self._free.get(block=not flying)
            except Empty:
                self._land(flying, values)

    def _land(self, flying: _Flying, values: Float32) -> None:
        request, batch = flying[0]
        request.wait()
        values[batch.rows] = request.get_output_tensor(0).data
        flying.popleft()
        self._free.put(request)
