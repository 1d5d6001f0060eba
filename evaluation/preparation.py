"""Brings a suite's corpus into Quarry through the product's real path, and leaves a promoted index behind."""

from collections.abc import Callable
from dataclasses import dataclass

from evaluation.drivers.in_process import Retriever
from evaluation.judgments import Suite
from evaluation.record import Ingestion
from include.quarry.errors import Unavailable


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """A corpus that is ready to be asked. `spec` is the fingerprint of its index spec."""

    corpus: str
    spec: str
    ingestion: Ingestion


@dataclass(frozen=True, slots=True)
class OpenedCorpus:
    """A retriever over the promoted index of a corpus, and the state it holds."""

    retriever: Retriever
    index_version: str
    watermark: int


def prepare_corpus(
    suite: Suite, *, tenant: str, on_phase: Callable[[str, int], None], on_progress: Callable[[int], None]
) -> PreparedCorpus:
    """Ingest, embed, build and promote; documents that did not change cost nothing.

    `on_phase(name, total)` is called when a phase begins, `on_progress(done)` as it goes. `docs/s` is over the whole
    time, from the first document read to the promotion. Raises `Unavailable` when a part of the platform is down.
    """
    raise Unavailable(
        f"the corpus of suite {suite.name!r} ({suite.corpus_file}) cannot be ingested from here yet; ingest it into "
        f"{suite.corpus!r} and add --corpus {suite.corpus}"
    )


def open_corpus(corpus: str) -> OpenedCorpus:
    """Load the live index of a corpus into this process. Raises `NotFound` when it has none."""
    raise Unavailable(f"the index of corpus {corpus!r} cannot be opened from here yet; ask over HTTP with --url")
