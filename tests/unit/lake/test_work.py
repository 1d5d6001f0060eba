"""What was embedded, what was reused and what was skipped is counted, once, and told of all replicas together."""

from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.indexing_work import add_work, read_work
from include.quarry.catalog.versions import create_version
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Deleted, Upserted
from include.quarry.lake.fresh import FreshTail
from include.quarry.lake.vectors import VectorLake
from include.quarry.lake.work import Work
from include.quarry.records import DocumentKey, RawDocument
from tests.unit.routing.corpus import SPEC, HashEmbedder

SHORT = "The stone of every hall is hard."
SECTIONS = [
    f"# Hall {number}\n\nThe stone of hall {number} is hard.\n" + "It is kept dry. " * 80 + "\n" for number in range(4)
]


class Indexer:
    """Accepts and embeds as a replica does."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.work = Work()
        self.ingestor = Ingestor(database, make_chunker, 10**6, self.work)
        self._at: str | None = None
        lake = VectorLake(database, str(folder))
        self._fresh = FreshTail(database, lake, lambda spec: HashEmbedder(), "me", bulk_grace_s=900, work=self.work)

    def embed(self) -> None:
        while self._fresh.step():
            pass

    def put(self, doc_id: str, text: str) -> None:
        self.ingestor.upsert(document(doc_id, text), "http")
        self.embed()

    def stream(self, *changes: Upserted | Deleted) -> None:
        ends = str(int(self._at or 0) + len(changes))
        self.ingestor.accept("stream:kafka:quarry:t", [Batch("t/0", self._at, list(changes), ends)])
        self._at = ends
        self.embed()

    def taken(self) -> dict[str, int]:
        return dict(self.work.take().get("main", {}))


def document(doc_id: str, text: str) -> RawDocument:
    return RawDocument(DocumentKey("main", "red", doc_id), f"file:///{doc_id}", text.encode(), "text/markdown", "Halls")


@pytest.fixture
def indexer(database: Database, tmp_path: Path) -> Indexer:
    with database.write() as connection:
        create_version(connection, "v1", "main", SPEC)
    return Indexer(database, tmp_path / "lake")


def test_a_typo_costs_the_passage_it_stands_in_and_the_same_again_costs_nothing(indexer: Indexer) -> None:
    indexer.put("a", "".join(SECTIONS))
    first = indexer.taken()
    assert first.keys() == {"embedded"}
    indexer.put("a", "".join(SECTIONS).replace("hall 3 is hard", "hall 3 is soft"))
    assert indexer.taken() == {"embedded": 1, "reused": first["embedded"] - 1}
    indexer.put("a", "".join(SECTIONS).replace("hall 3 is hard", "hall 3 is soft"))
    assert indexer.taken() == {"skipped": 1}


def test_a_stream_is_counted_like_uploads_and_deletes_count_for_nothing(indexer: Indexer) -> None:
    changes = [Upserted(document(name, SHORT), None, None) for name in ("a", "b")]
    indexer.stream(*changes)
    assert indexer.taken() == {"embedded": 1}
    indexer.stream(changes[0], Upserted(document("c", SHORT), None, None), Deleted(changes[1].raw.key, None))
    assert indexer.taken() == {"skipped": 1, "reused": 1}


def test_counts_add_up_over_replicas_and_none_is_nought(database: Database) -> None:
    with database.write() as connection:
        assert read_work(connection, "main") == {"embedded": 0, "reused": 0, "skipped": 0}
        add_work(connection, "main", {"embedded": 2, "skipped": 1})
        add_work(connection, "main", {"embedded": 3, "reused": 4})
        add_work(connection, "other", {"embedded": 9})
    with database.read() as connection:
        assert read_work(connection, "main") == {"embedded": 5, "reused": 4, "skipped": 1}


def test_what_could_not_be_told_is_told_later() -> None:
    work = Work()
    work.add("main", "embedded", 2)
    taken = work.take()
    work.add("main", "embedded")
    work.give_back(taken)
    assert work.take() == {"main": {"embedded": 3}}
    assert work.take() == {}
