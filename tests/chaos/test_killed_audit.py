"""A serving process is killed again and again while callers ask: whatever one of them got is on record, once."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.audit.opening import audit_folder
from include.quarry.audit.segments import writers
from include.quarry.audit.shipping import adopt
from include.quarry.audit.sinks import SINKS
from include.quarry.audit.verification import verify
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.request_schema import audit_records, queries
from include.quarry.settings import Settings
from tests.chaos.audited_server import serve
from tests.chaos.forked import forking
from tests.conftest import free_port
from tests.door import showing

pytestmark = pytest.mark.chaos
_KILLS = 12
_CALLERS = 6
_LIFE_S = (0.05, 0.8)
_START_S = 60.0


@dataclass
class Callers:
    """Threads that ask, and note the number of each request of which they got as much as a header."""

    port: int
    whole: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def ask(self, stream: bool) -> None:
        path, body = ("/v1/answer", {"question": "x", "stream": True}) if stream else ("/v1/retrieve", {"query": "x"})
        connection = None
        while not self.ended.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                headers = showing("red") | {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(body), headers)
                response = connection.getresponse()
                assert response.status == 200, response.status
                query_id = response.headers["X-Request-Id"]
                self.begun.append(query_id)
                if not stream and json.loads(response.read())["query_id"] == query_id:
                    self.whole.append(query_id)
                response.read()
            except (OSError, http.client.HTTPException, ValueError):  # it was killed
                connection = None
                self.ended.wait(0.01)


def test_whatever_was_answered_before_a_kill_is_on_record_once(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    settings = Settings(home=tmp_path, _env_file=None)
    migrate(settings.catalog_url)
    callers = Callers(free_port())
    threads = [threading.Thread(target=callers.ask, args=(number % 3 == 0,)) for number in range(_CALLERS)]
    for thread in threads:
        thread.start()
    context = forking()
    try:
        for _ in range(_KILLS):
            answered = len(callers.begun)
            process = context.Process(target=serve, args=(tmp_path, callers.port, 0.02), daemon=True)
            process.start()
            # each caller may still have to note an answer of the life before
            _wait_for(lambda answered=answered: len(callers.begun) > answered + _CALLERS)
            time.sleep(dice.uniform(*_LIFE_S))
            process.kill()
            process.join()
    finally:
        callers.ended.set()
        for thread in threads:
            thread.join()
    database = Database(settings.catalog_url)

    def all_adopted() -> bool:
        adopt(audit_folder(settings), database, SINKS)
        return writers(audit_folder(settings)) == []  # a process that ships may still be at what another has left

    _wait_for(all_adopted)
    _assert_on_record(database, callers)
    verified = verify(database)
    assert verified.intact, verified.findings
    assert len(verified.heads) == _KILLS
    print(f"{len(callers.begun)} answers in {_KILLS} lives, {verified.records} records")
    database.close()


def _assert_on_record(database: Database, callers: Callers) -> None:
    r = audit_records.c
    with database.read() as connection:
        rows = connection.execute(sa.select(r.query_id, r.action, r.body)).all()
        logged = set(connection.scalars(sa.select(queries.c.query_id)))
    outcomes = Counter((row.query_id, json.loads(row.body).get("outcome")) for row in rows)
    assert set(outcomes.values()) == {1}
    on_record = {row.query_id for row in rows}
    assert set(callers.begun) <= on_record
    assert set(callers.whole) <= logged
    assert len(callers.whole) > _KILLS


def _wait_for(true) -> None:
    ends_at = time.monotonic() + _START_S
    while not true():
        assert time.monotonic() < ends_at, "it did not come to pass"
        time.sleep(0.005)
