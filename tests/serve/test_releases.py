"""A prompt is tried, promoted and taken back while people ask: nobody is failed, and each answer is of one release."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
import pytest

from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE
from include.quarry.releases.desk import ReleaseDesk
from include.quarry.routing.choice import place_of
from tests.benchmarks.answering import documents, question
from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_BOUND_S = 120.0
_SHARE = 0.5
_PROMPT = PromptTemplate.load().text.replace("\n\nQuestion:", "\n\n\nQuestion:")
"""Another wording, so like the default's that the small model says the same."""
_places = sorted(range(12), key=lambda number: place_of("release", "default", question(number)))
_TRIED, _OTHERS = _places[0], _places[-2:]


class Row(NamedTuple):
    """One answer: the question's number, when it was asked, and whose it is."""

    number: int
    asked_at: float
    status: int
    tier: str
    release: str


@dataclass
class Crowd:
    """Clients that ask one question each, again and again; and what they were answered."""

    api: Api
    rows: list[Row] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self, number: int) -> None:
        body, headers = {"question": question(number), "tier": "fast"}, self.api.showing("default")
        url = self.api.settings.http_url
        with httpx.Client(base_url=url, headers=headers, timeout=_BOUND_S, trust_env=False) as http:
            while not self.stopped.is_set():
                asked_at = time.monotonic()
                response = http.post("/v1/answer", json=body)
                body_of = response.json()
                release = (body_of.get("release") or {}).get("release_id", "")
                self.rows.append(Row(number, asked_at, response.status_code, str(body_of.get("tier")), release))

    def more(self) -> list[Row]:
        """Three more answers each, asked from now on; those asked before may be of what was live then."""
        now = time.monotonic()

        def each_has_three() -> bool:
            numbers = [row.number for row in self.rows if row.asked_at > now]
            return all(numbers.count(number) >= 3 for number in (_TRIED, *_OTHERS))

        poll(each_has_three, "more answers", _BOUND_S)
        return [row for row in self.rows if row.asked_at > now]


@pytest.fixture
def crowd(api: Api) -> Iterator[Crowd]:
    numbers, texts = (_TRIED, *_OTHERS), list(documents().items())
    for doc_id, text in (texts[number] for number in numbers):
        api.put(doc_id, text, content_type="text/markdown", title=doc_id)
        poll(lambda doc_id=doc_id, text=text: doc_id in api.found(text), doc_id, _BOUND_S)
    crowd = Crowd(api)
    clients = [threading.Thread(target=crowd.ask, args=(number,), daemon=True) for number in numbers]
    for client in clients:
        client.start()
    poll(lambda: any(row.release == DEFAULT_RELEASE for row in crowd.rows), "the fast tier", _BOUND_S)
    crowd.rows.clear()
    yield crowd
    crowd.stopped.set()
    for client in clients:
        client.join()


def test_a_prompt_is_tried_promoted_and_taken_back_under_requests(crowd: Crowd) -> None:
    http, desk = crowd.api.http, ReleaseDesk(crowd.api.settings, lambda _: "")
    body = {"tier": "fast", "template": _PROMPT, "release_id": "plain"}
    made = http.post("/v1/releases", json=body, timeout=_BOUND_S).raise_for_status().json()
    assert "MLflow" in made["mlflow"]  # none is there, and the move is made all the same
    assert http.post("/v1/releases/plain/promote").status_code == httpx.codes.CONFLICT  # no gate has seen it

    tried = {"share": _SHARE, "unchecked": True}
    http.post("/v1/releases/plain/canary", json=tried, timeout=_BOUND_S).raise_for_status()
    told = {(row.number == _TRIED, row.release) for row in crowd.more() if row.tier == "fast"}
    assert told == {(True, "plain"), (False, DEFAULT_RELEASE)}
    desk.promote("plain", unchecked=True)
    poll(lambda: all(row.release == "plain" for row in crowd.more()), "the new prompt", _BOUND_S)
    moved_at = time.monotonic()
    assert desk.roll_back("fast", "a test")["route"]["live_release"] == DEFAULT_RELEASE
    poll(lambda: all(row.release == DEFAULT_RELEASE for row in crowd.more()), "the prompt before", _BOUND_S)

    crowd.stopped.set()
    rows = list(crowd.rows)
    gone = max(row.asked_at for row in rows if row.release == "plain") - moved_at
    print(f"{len(rows)} answers; the last by the prompt taken back was asked {gone:+.3f} s after that")
    assert [row for row in rows if row.status != httpx.codes.OK] == []
    said = {(row.tier, row.release) for row in rows} - {("extractive", "")}  # as where the fast tier stalls
    assert said == {("fast", DEFAULT_RELEASE), ("fast", "plain")}
    shown = http.get("/v1/releases/plain").raise_for_status().json()
    assert (shown["state"], shown["reason"], shown["share"]) == ("retired", "a test", 0.0)
