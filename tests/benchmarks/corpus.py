"""Brings a corpus in BEIR layout into a home of the benchmarks' own, through the product's path; done once a home."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.judgments import Suite, load_suite
from evaluation.preparation import prepare_corpus
from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.versions import find_version
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Chunk, Float32
from include.quarry.retrieval.passages import PassageTable
from include.quarry.settings import Settings

TENANT = "default"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A corpus with a promoted index: its name, its queries, and the folder of the index's snapshot."""

    corpus: str
    queries: list[str]
    snapshot: Path


def prepare(folder: Path, settings: Settings) -> Prepared:
    """Ingest, embed, build and promote what is new in `folder`; the vectors stay in the home."""
    suite: Suite = load_suite(str(folder))
    prepare_corpus(
        suite,
        settings,
        tenant=TENANT,
        in_process=True,
        on_phase=lambda name, total: print(f"  {name} ({total})", flush=True),
        on_progress=lambda _: None,
    )
    database = Database(settings.catalog_url)
    with database.read() as connection:
        route = find_route(connection, suite.corpus)
        assert route is not None
        snapshot = Path(find_version(connection, route.live_version).snapshot)
    database.close()
    return Prepared(suite.corpus, [query.text for query in suite.queries], snapshot)


def read_chunks(snapshot: Path, settings: Settings) -> tuple[list[Chunk], Float32]:
    """Every chunk of an index with its vector `[n, d]`, for another system to be built over the same."""
    table = PassageTable.load(snapshot / "passages")
    chunks = table.get([chunk_id for chunk_id, _ in table.contents()])
    lake = VectorLake(Database(settings.catalog_url), settings.lake_uri)
    vectors = lake.fetch(settings.index_spec().embedding.fingerprint, [chunk.text_hash for chunk in chunks])
    return chunks, vectors.values
