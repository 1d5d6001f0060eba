"""People who write documents and ask, and the bad turns that an index version can take, around a running platform."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from pydoc_data.topics import topics
from random import Random
from tempfile import TemporaryDirectory

import httpx
from confluent_kafka import Producer

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import find_document
from include.quarry.catalog.routes import Route, find_route
from include.quarry.catalog.updates import Follow, read_stretch
from include.quarry.catalog.versions import IndexVersion, list_versions, record_snapshot
from include.quarry.gateway.composition import bearer, own_token
from include.quarry.lake.vectors import VectorLake
from include.quarry.operations.airflow_api import AirflowApi, DagRun, read_password
from include.quarry.records import DocumentKey, DocumentUpdate, Float32, Vectors
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import being_built, home_of
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec
from tests.integration.conftest import NEWS, Platform

_RUN_S = 600.0
_POLL_S = 0.5
_STONES = ["granite", "basalt", "slate", "marble", "chalk", "sandstone", "gneiss", "quartzite"]


class Loop:
    """The running platform, and a folder that people write documents into."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.settings: Settings = platform.installation.settings
        self.folder = folder
        self.database = Database(self.settings.catalog_url)
        self._producer = Producer({"bootstrap.servers": platform.broker})
        password = read_password(platform.installation.airflow_passwords)
        self.airflow = AirflowApi(self.settings.airflow_url, password)

    def write(self, name: str, paragraphs: list[str]) -> None:
        for number, text in enumerate(paragraphs):
            (self.folder / f"{name}-{number}.txt").write_text(text)

    def tell(self, text: str) -> None:
        """A message that brings the news of the day, one document."""
        event = {"op": "upsert", "tenant": "default", "doc_id": "bulletin", "text": text}
        self._producer.produce(NEWS, json.dumps(event).encode(), b"bulletin")
        assert self._producer.flush(30) == 0

    def last_told(self) -> str:
        """What the catalog has of the news; empty while it has none."""
        with self.database.read() as connection:
            found = find_document(connection, DocumentKey(NEWS, "default", "bulletin"))
        return "" if found is None else found.text

    def run(self, dag_id: str, **conf: str) -> DagRun:
        """Start a run by hand and wait for its end."""
        return self.ended(self.airflow.trigger(dag_id, conf))

    def follows(self, dag_id: str, since: datetime) -> DagRun:
        """Wait for a run that something else starts, and for its end."""
        deadline = time.monotonic() + _RUN_S
        while (run := self.airflow.newest_since(dag_id, since)) is None:
            assert time.monotonic() < deadline, f"nothing has started {dag_id}"
            time.sleep(_POLL_S)
        return self.ended(run)

    def ended(self, run: DagRun) -> DagRun:
        deadline = time.monotonic() + _RUN_S
        while (run := self.airflow.look(run)).state not in ("success", "failed"):
            assert time.monotonic() < deadline, f"{run} does not end"
            time.sleep(_POLL_S)
        return run

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _RUN_S
        while not true():
            assert time.monotonic() < deadline, f"waited {_RUN_S:.0f} s in vain for {what}"
            time.sleep(_POLL_S)

    def route(self) -> Route | None:
        with self.database.read() as connection:
            return find_route(connection, "main")

    def versions(self) -> dict[str, IndexVersion]:
        with self.database.read() as connection:
            return {version.version_id: version for version in list_versions(connection, "main")}


@contextmanager
def asked_by_people(loop: Loop) -> Iterator[list[tuple[int, str]]]:
    """Somebody asks the front door one thing after the other; gives status and version of each answer."""
    answers: list[tuple[int, str]] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=loop.settings.http_url, timeout=60, trust_env=False) as http:
            http.headers.update(bearer(own_token(loop.settings, "default", "retrieve")))
            number = 0
            while not ended.wait(0.05):
                number += 1
                answer = http.post("/v1/retrieve", json={"query": f"stone or statement number {number}"})
                version = answer.json()["index_version"] if answer.is_success else ""
                answers.append((answer.status_code, version))

    person = threading.Thread(target=ask)
    person.start()
    try:
        yield answers
    finally:
        ended.set()
        person.join()


def canary_of(loop: Loop) -> str:
    """Wait until a candidate has passed the shadow and answers people."""

    def answering() -> bool:
        route = loop.route()
        return route is not None and route.canary_version is not None

    loop.until(answering, "a canary")
    route = loop.route()
    assert route is not None
    assert route.canary_version is not None
    return route.canary_version


def damage(snapshot: Path) -> None:
    """Overwrite the passages, which replicas have mapped, where they lie: the version was whole when it was loaded."""
    passages = snapshot / "passages" / "passages.jsonl"
    with passages.open("r+b") as file:
        file.write(b"#" * passages.stat().st_size)


def poison(loop: Loop, run: DagRun, spec: IndexSpec) -> str:
    """Put garbage in the place of the version that the run builds: all chunks are there, under wrong names.

    The version is not built before the garbage is ready, so that it takes its place before anybody has loaded it.
    """
    version_id = f"main-{sha256(run.run_id.encode()).hexdigest()[:12]}"
    lake = VectorLake(loop.database, loop.settings.lake_uri)
    follow = Follow("main", spec.chunker.fingerprint, spec.embedding.fingerprint)
    with loop.database.read() as connection:
        stretch = read_stretch(connection, follow, 0)
    updates = [update for update in stretch.updates if update.chunks]
    hashes = [chunk.text_hash for update in updates for chunk in update.chunks]
    vectors = lake.fetch(follow.fingerprint, hashes[1:] + hashes[:1]).values
    home = home_of(version_id, loop.settings)
    folder = home / "poisoned"
    with being_built(home), TemporaryDirectory() as scratch:
        index = Index.create(spec, version_id, Path(scratch))
        index.apply(_exchanged(updates, vectors, follow.fingerprint), stretch.watermark)
        index.save(folder)
    deadline = time.monotonic() + _RUN_S
    while version_id not in (built := loop.versions()) or not built[version_id].snapshot:
        assert time.monotonic() < deadline, "no version was built"
        time.sleep(0.02)
    with loop.database.write() as connection:
        record_snapshot(connection, version_id, str(folder), stretch.watermark, len(hashes))
    return version_id


def _exchanged(updates: list[DocumentUpdate], vectors: Float32, fingerprint: str) -> list[DocumentUpdate]:
    """Every chunk keeps its name and takes the text and the vector of another."""
    chunks = [chunk for update in updates for chunk in update.chunks]
    moved = [
        replace(chunk, passage=other.passage) for chunk, other in zip(chunks, chunks[1:] + chunks[:1], strict=True)
    ]
    exchanged, start = [], 0
    for update in updates:
        stop = start + len(update.chunks)
        own = Vectors(fingerprint, vectors[start:stop])
        exchanged.append(replace(update, chunks=tuple(moved[start:stop]), vectors=own))
        start = stop
    return exchanged


def python_passages(count: int) -> list[str]:
    """Passages of Python's language reference."""
    paragraphs = [part for name in sorted(topics) for part in topics[name].split("\n\n") if len(part) > 200]
    return Random(0).sample(paragraphs, count)


def stone_passages(count: int) -> list[str]:
    """Passages about stones, no two alike."""
    draw = Random(1)
    return [
        f"The {draw.choice(_STONES)} from pit {number} is cut in {draw.choice(['spring', 'autumn', 'winter'])} and "
        f"carried by barge to the harbour. Masons pay {draw.randrange(20, 90)} crowns for a block, more when the seam "
        f"of {draw.choice(_STONES)} is thin. Its grain is {draw.choice(['fine', 'coarse', 'even', 'banded'])}."
        for number in range(count)
    ]
