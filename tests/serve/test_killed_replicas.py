"""A thousand changes while every kind of replica is killed: catalog, index and client agree in the end."""

import random
import threading
import time
from functools import partial

import httpx
import psutil
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes, documents
from include.quarry.operations.processes import processes_of
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from tests.processes import title_of
from tests.serve.conftest import Api, poll

pytestmark = [pytest.mark.serve, pytest.mark.chaos]
_CHANGES = 1_000
_DOCUMENTS = 120
_TENANT = "stream"
_BOUND_S = 240.0
_VICTIMS = ("gateway:Indexing", "retrieval:Retrieval", "gateway:Gateway")


class Stream:
    """A client that sends changes one after the other, each until it is accepted."""

    def __init__(self, api: Api, dice: random.Random) -> None:
        self._api = api
        self._dice = dice
        self.truth: dict[str, str] = {}
        self.sent: list[tuple[str, str]] = []
        self.retries = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._api.settings.http_url, timeout=30, trust_env=False) as http:
                for number in range(_CHANGES):
                    self._change(http, number)
        except Exception as error:  # noqa: BLE001 - the test raises it in its own thread
            self.error = error

    def has_sent(self, count: int) -> bool:
        if self.error is not None:
            raise self.error
        return len(self.sent) >= count

    def _change(self, http: httpx.Client, number: int) -> None:
        doc_id = f"stream-{self._dice.randrange(_DOCUMENTS):03}"
        if doc_id in self.truth and self._dice.random() < 0.3:
            del self.truth[doc_id]
            self.sent.append(("delete", doc_id))
            self._send(http, "DELETE", doc_id, None)
        else:
            self.truth[doc_id] = f"Change {number} says that {doc_id} is {self._dice.choice(('red', 'blue', 'green'))}."
            self.sent.append(("upsert", doc_id))
            self._send(http, "PUT", doc_id, {"text": self.truth[doc_id]})

    def _send(self, http: httpx.Client, method: str, doc_id: str, body: dict[str, str] | None) -> None:
        ends_at = time.monotonic() + _BOUND_S
        while time.monotonic() < ends_at:
            try:
                response = http.request(
                    method, f"/v1/documents/{doc_id}", json=body, headers=self._api.showing(_TENANT)
                )
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code == httpx.codes.ACCEPTED:
                return
            assert response is None or response.is_server_error, (method, doc_id, response.text)
            self.retries += 1
            time.sleep(0.05)
        raise AssertionError(f"{method} {doc_id} was not accepted in {_BOUND_S} s")


def test_a_thousand_changes_survive_the_death_of_every_replica(api: Api) -> None:
    seed = random.SystemRandom().randrange(10**6)
    stream = Stream(api, random.Random(seed))
    client = threading.Thread(target=stream.run)
    started = time.monotonic()
    client.start()
    kills = 0
    for round_ in range(2):
        for number, victim in enumerate(_VICTIMS):
            due = _CHANGES * (1 + round_ * len(_VICTIMS) + number) // (2 * len(_VICTIMS) + 1)
            poll(partial(stream.has_sent, due), f"change {due}", _BOUND_S)
            kills += _kill(api, victim)
    client.join()
    if stream.error is not None:
        raise stream.error
    print(f"seed {seed}: {_CHANGES} changes in {time.monotonic() - started:.0f} s, {kills} replicas killed, ", end="")
    print(f"{stream.retries} requests sent again")
    assert kills == 2 * len(_VICTIMS)
    _agree(api, stream)


def _kill(api: Api, victim: str) -> int:
    """SIGKILL the replicas of one deployment, as soon as there is one."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found.extend(p for p in processes_of(api.installation) if f"ServeReplica:{victim}" in title_of(p))
        return bool(found)

    poll(is_there, f"a replica of {victim}", _BOUND_S)
    found[0].kill()
    return 1


def _agree(api: Api, stream: Stream) -> None:
    """Log and documents are the client's, one log entry per change; the index holds what the log says."""
    database = Database(api.settings.catalog_url)
    with database.read() as connection:
        of_stream = changes.c.tenant == _TENANT
        log = connection.execute(sa.select(changes.c.kind, changes.c.doc_id).where(of_stream).order_by(changes.c.seq))
        assert [tuple(row) for row in log] == stream.sent
        present = sa.and_(documents.c.tenant == _TENANT, ~documents.c.deleted)
        rows = connection.execute(sa.select(documents.c.doc_id, documents.c.text).where(present))
        assert {row.doc_id: row.text for row in rows} == stream.truth
    database.close()
    waited_s = poll(lambda: _lag(api) == 0, "the index to reach the head of the log", _BOUND_S)
    print(f"index at the head {waited_s:.1f} s after the last change")
    for doc_id in [f"stream-{number:03}" for number in range(0, _DOCUMENTS, 4)]:
        hits = api.retrieve(doc_id, _TENANT, filters={"doc_id": doc_id}).raise_for_status().json()["hits"]
        assert [hit["text"] for hit in hits] == ([stream.truth[doc_id]] if doc_id in stream.truth else [])
    live = str(api.status()["live_version"])
    proof = check_completeness(live, api.settings)
    rebuilt = build_version("rebuilt", "main", api.settings.index_spec(), api.settings)
    assert proof["digest"] == proof["log_digest"] == check_completeness("rebuilt", api.settings)["digest"]
    assert proof["chunks"] == rebuilt["chunks"]


def _lag(api: Api) -> int:
    """Changes that the answering replica has not applied; 1 while a part is still coming back."""
    try:
        response = api.http.get("/v1/status")
    except httpx.TransportError:
        return 1
    return int(response.json()["lag_changes"]) if response.is_success else 1
