"""Loading index versions on a thread of its own, so that those that answer keep following the log, and letting go of
those that left their route."""

import logging
import shutil
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.versions import IndexVersion
from include.quarry.errors import QuarryError
from include.quarry.retrieval.retriever import QueryEncoder, Retriever, Serving
from include.quarry.routing.opening import Follows, OpenVersion
from include.quarry.specs import EmbeddingSpec

logger = logging.getLogger(__name__)
PASSING = (QuarryError, SQLAlchemyError, OSError)
"""What may be over when it is tried again; anything else is a bug."""
_OPEN_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """One index version in memory, with what keeps it fresh. `created_at` is the version's."""

    retriever: Retriever
    follower: Follows
    scratch: Path
    created_at: datetime


class Loader:
    """Opens versions for one replica. `open` from any thread, `ready` and `keep_only` from one, `let_go` from one."""

    def __init__(
        self, scratch: Path, encoder_of: Callable[[EmbeddingSpec], QueryEncoder], open_version: OpenVersion
    ) -> None:
        self._scratch = scratch
        self._encoder_of = encoder_of
        self._open_version = open_version
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="open-index")
        self._opening: dict[tuple[str, str], Future[Loaded]] = {}
        self._open_again_at: dict[str, float] = {}
        self._leaving: list[tuple[float, Loaded]] = []

    def open(self, version: IndexVersion) -> Loaded:
        """The version, at the head of the log. Raises what the snapshot, the servers or the encoder raise."""
        scratch = self._scratch / f"{version.version_id}-{time.monotonic_ns()}"
        scratch.mkdir(parents=True)
        with ExitStack() as on_failure:
            on_failure.callback(shutil.rmtree, scratch, ignore_errors=True)
            index, follower = self._open_version(version, scratch)
            follower.step()
            retriever = Retriever(Serving(self._encoder_of(version.spec.embedding), index))
            on_failure.pop_all()
        return Loaded(retriever, follower, scratch, version.created_at)

    def ready(self, version: IndexVersion) -> Loaded | None:
        """The version, once it is loaded; until then it is on its way. One that could not be is tried again later."""
        version_id, key = version.version_id, (version.corpus, version.version_id)
        opening = self._opening.get(key)
        if opening is None:
            if time.monotonic() >= self._open_again_at.get(version_id, 0.0):
                self._opening[key] = self._thread.submit(self.open, version)
            return None
        if not opening.done():
            return None
        del self._opening[key]
        try:
            return opening.result()
        except Exception:  # whatever is wrong with it, another version answers meanwhile
            logger.exception("index version %s could not be loaded; trying again", version_id)
            self._open_again_at[version_id] = time.monotonic() + _OPEN_AGAIN_S
            return None

    def keep_only(self, corpus: str, version_ids: Collection[str]) -> bool:
        """Forget what was being loaded for a corpus and is wanted no more; false while some of it still loads."""
        unwanted = [key for key in self._opening if key[0] == corpus and key[1] not in version_ids]
        for key in [key for key in unwanted if self._opening[key].done()]:
            opening = self._opening.pop(key)
            unwanted.remove(key)
            if opening.exception() is None:
                self.leave(opening.result())
        return not unwanted

    def leave(self, loaded: Loaded) -> None:
        """Note that a version left its route. Requests that began on it have until `let_go` to finish."""
        self._leaving.append((time.monotonic(), loaded))

    def let_go(self, until: float) -> None:
        """Discard what left before a time (monotonic, in seconds)."""
        for left_at, loaded in [each for each in self._leaving if each[0] <= until]:
            self._leaving.remove((left_at, loaded))
            discard(loaded)

    def close(self) -> None:
        """Wait for what is being loaded, and discard all that left."""
        self._thread.shutdown()
        self.let_go(time.monotonic())


def discard(loaded: Loaded) -> None:
    """Unlink the scratch folder; searches still running keep the files they have open or mapped."""
    loaded.retriever.close()
    shutil.rmtree(loaded.scratch, ignore_errors=True)
