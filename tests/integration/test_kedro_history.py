"""The history of a real documentation site, five versions of it, through the folder and the Kafka feed.

After each version exactly its pages can be found, and a query for a page that was removed finds nothing of it. Taken
are every fifth path, and all that were removed or moved anywhere in the history. The vectors are made up: what is found
by meaning does not matter here.
"""

import base64
import json
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest
import sqlalchemy as sa
from confluent_kafka import Producer

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.offsets import load_offsets
from include.quarry.catalog.quarantine import list_quarantine
from include.quarry.catalog.schema import chunks
from include.quarry.catalog.versions import find_version
from include.quarry.errors import Unavailable
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass
from include.quarry.feeds.kafka import KafkaFeed
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.parsing.registry import content_type_of
from include.quarry.records import Scope
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.follower import Follower
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.servers.kafka import kafka, make_topic
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder

pytestmark = pytest.mark.integration
ARCHIVE = Path(__file__).resolve().parents[3] / "shared/data/kedro_docs_5versions.tar.xz"
VERSIONS = ("0.17.0", "0.18.14", "0.19.10", "1.0.0", "HEAD")
_EVERY = 5
_PATIENCE_S = 120.0
Pages = Mapping[str, bytes]
"""Path -> content."""


@pytest.fixture(scope="module")
def history() -> list[Pages]:
    """The pages of each version, oldest first."""
    if not ARCHIVE.exists():
        pytest.skip(f"the documentation's history is not at {ARCHIVE}")
    versions: dict[str, dict[str, bytes]] = {version: {} for version in VERSIONS}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            _, _, inside = member.name.partition("/")
            version, _, path = inside.partition("/docs/")
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None and version in versions and content_type_of(path) is not None:
                versions[version][path] = content.read()
    every = list(versions.values())
    gone = {path for before, after in pairwise(every) for path in before.keys() - after.keys()}
    paths = sorted({path for pages in every for path in pages})
    taken = set(paths[::_EVERY]) | gone | {new for pages in pairwise(every) for new in moved(*pages).values()}
    return [{path: content for path, content in pages.items() if path in taken} for pages in every]


def moved(before: Pages, after: Pages) -> dict[str, str]:
    """Old path -> new path of the pages that lie elsewhere and say the same."""
    where = {content: path for path, content in after.items() if path not in before}
    return {path: where[content] for path, content in before.items() if path not in after and content in where}


class Feed(Protocol):
    """Brings the source from one version to the next, and the catalog after it."""

    def __call__(self, before: Pages, after: Pages) -> None: ...


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    settings = Settings(home=tmp_path / "home", _env_file=None)
    migrate(settings.catalog_url)
    corpus = Corpus(Database(settings.catalog_url), settings)
    yield corpus
    corpus.database.close()


@pytest.fixture
def by_folder(corpus: Corpus, tmp_path: Path) -> Feed:
    folder = tmp_path / "docs"
    folder.mkdir()

    def bring(before: Pages, after: Pages) -> None:
        for path in before.keys() - after.keys():
            (folder / path).unlink()
        for path, content in after.items():
            if before.get(path) != content:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        feed = FolderFeed(folder, "main", "default", 10**7)
        FeedPass(feed, "main", "default", corpus.ingestor, corpus.database).run()

    return bring


@pytest.fixture
def by_kafka(corpus: Corpus) -> Iterator[Feed]:
    with kafka() as broker:
        topic = f"pages-{uuid.uuid4().hex[:8]}"
        make_topic(broker, topic, 3)
        producer, sent = Producer({"bootstrap.servers": broker}), 0
        feed = KafkaFeed(broker, topic, group="quarry", corpus="main", options={"session.timeout.ms": "6000"})
        stream = Stream(feed, corpus.ingestor, corpus.database)

        def accepted() -> bool:
            with suppress(Unavailable):  # a broker that a busy machine holds up
                stream.step()
            with corpus.database.read() as connection:
                return sum(map(int, load_offsets(connection, feed.name).values())) == sent

        def bring(before: Pages, after: Pages) -> None:
            nonlocal sent
            for key, event in events(before, after):
                producer.produce(topic, json.dumps(event).encode(), f"default/{key}".encode())
                sent += 1
            assert producer.flush(30) == 0
            wait_until(accepted, "all events", _PATIENCE_S, lambda _: None)

        yield bring
        stream.close()


def events(before: Pages, after: Pages) -> Iterator[tuple[str, dict[str, str]]]:
    """What a source would tell: a page that was moved is one change, under the key of the page that it replaces."""
    replaced = {new: old for old, new in moved(before, after).items()}
    for path, content in after.items():
        if before.get(path) != content:
            event = {"op": "upsert", "tenant": "default", "doc_id": path, "content_type": content_type_of(path) or ""}
            event["content"] = base64.b64encode(content).decode()
            old = replaced.get(path)
            yield old or path, event | ({} if old is None else {"replaces": old})
    for path in before.keys() - after.keys() - set(replaced.values()):
        yield path, {"op": "delete", "tenant": "default", "doc_id": path}


class Replica:
    """The live version as a replica holds it: loaded once, at the first of the versions, and following since then."""

    def __init__(self, corpus: Corpus, scratch: Path) -> None:
        build_version("v1", "main", SPEC, corpus.settings)
        promote("v1", corpus.settings)
        with corpus.database.read() as connection:
            snapshot = find_version(connection, "v1").snapshot
        self.index = Index.load(Path(snapshot), scratch)
        self._follower = Follower(corpus.database, corpus.lake, self.index, "main")

    def follow(self) -> None:
        assert self._follower.step() == 0

    def found(self, query: str, path: str) -> set[str]:
        """The pages that a query finds, and those that it finds when it asks for one page alone."""
        vector = HashEmbedder().encode([query])
        scopes = (Scope("default"), Scope("default", {"doc_id": path}))
        hits = [hit for scope in scopes for hit in self.index.find([query], vector, 10, scope).hits[0]]
        return {hit.chunk.key.doc_id for hit in hits}


@pytest.mark.parametrize("feed", ["by_folder", "by_kafka"])
def test_after_each_version_exactly_its_pages_are_found(
    corpus: Corpus, history: list[Pages], feed: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bring: Feed = request.getfixturevalue(feed)
    replica: Replica | None = None
    before: Pages = {}
    queries: dict[str, str] = {}
    for version, pages in zip(VERSIONS, history, strict=True):
        bring(before, pages)
        corpus.embed()
        replica = replica or Replica(corpus, tmp_path / "scratch")
        replica.follow()
        with corpus.database.read() as connection:
            aside = {found.key.doc_id for found in list_quarantine(connection, "main", limit=None)}
        assert len(aside) < len(pages) / 20, "what cannot be read is the exception"
        assert {key.doc_id for key in replica.index.documents()} == pages.keys() - aside, version
        removed = sorted(before.keys() - pages.keys() - aside)
        assert [path for path in removed if path in replica.found(queries[path], path)] == [], version
        queries = first_words(corpus)
        present = sorted(queries)[::20]
        assert [path for path in present if path not in replica.found(queries[path], path)] == [], version
        before = pages
    proof = check_completeness("v1", corpus.settings)
    assert (proof["digest"], proof["waiting"]) == (proof["log_digest"], 0)


def first_words(corpus: Corpus) -> dict[str, str]:
    """Path -> how the page begins."""
    query = sa.select(chunks.c.doc_id, chunks.c.text).where(chunks.c.ordinal == 0)
    with corpus.database.read() as connection:
        return {row.doc_id: " ".join(row.text.split()[:12]) for row in connection.execute(query)}
