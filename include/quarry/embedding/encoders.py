"""The query encoders of a process: one a vector space, for as long as an index version of that space is held.

A model takes hundreds of megabytes. So the last version of a space that leaves takes its model along.
"""

from collections.abc import Callable
from threading import Lock
from weakref import WeakValueDictionary

from include.quarry.embedding.micro_batch import MicroBatcher
from include.quarry.embedding.protocol import Embedder
from include.quarry.specs import EmbeddingSpec


class Encoders:
    """Whoever is given an encoder holds it; nobody else does. Safe to share between threads."""

    def __init__(self, load: Callable[[EmbeddingSpec], Embedder]) -> None:
        self._load = load
        self._held: WeakValueDictionary[EmbeddingSpec, MicroBatcher] = WeakValueDictionary()
        self._turn = Lock()

    def of(self, spec: EmbeddingSpec) -> MicroBatcher:
        """The encoder of a space, loaded where nobody holds it. Raises what loading raises."""
        with self._turn:  # who asks meanwhile waits for the one that is being loaded
            encoder = self._held.get(spec)
            if encoder is None:
                encoder = self._held[spec] = MicroBatcher(self._load(spec))
            return encoder
