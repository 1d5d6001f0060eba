"""A platform that answers, for benchmarks: its own documents, callers of several tenants, streams with their times."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import httpx

from include.quarry.catalog.database import migrate
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.operations.health import wait_until
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.benchmarks.cluster import bench_settings, serving

_START_S = 180.0
_NAMES = (
    *(
        "Marrow",
        "Grey Fell",
        "Dunmore",
        "Aldgate",
        "Tarn",
        "Wick",
        "Sallow",
        "Orme",
        "Crag",
        "Stoke",
        "Linton",
        "Harrow",
    ),
    *("Beck", "Rowan", "Thorn", "Kestrel", "Moss", "Penn", "Quill", "Raven", "Sedge", "Tern", "Ulver", "Vale", "Wren"),
)


@dataclass
class Told:
    """What a caller saw: seconds from the request to each sentence and to the end, who answered, and the product's own
    times in milliseconds."""

    tenant: str
    status: int = 0
    tier: str = ""
    reason: str = ""
    sentences_s: list[float] = field(default_factory=list)
    total_s: float = 0.0
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def first_s(self) -> float:
        """Seconds to the first text; to the end, where there is none."""
        return self.sentences_s[0] if self.sentences_s else self.total_s


def documents() -> dict[str, str]:
    """A document for each place, of the same form; questions about different ones share no prompt."""
    return {
        f"{name.lower().replace(' ', '-')}.md": (
            f"# The lighthouse of {name}\n\nThe lighthouse of {name} was built in {1800 + 3 * number}.\n"
            f"Its lamp burns oil and is visible at a distance of {10 + number} miles.\n"
        )
        for number, name in enumerate(_NAMES)
    }


def question(number: int) -> str:
    """One whose answer the small model finds."""
    return f"In which year was the lighthouse of {_NAMES[number % len(_NAMES)]} built?"


@contextmanager
def answering_platform(folder: Path, tenants: list[str], texts: dict[str, str], **more: object) -> Iterator["Callers"]:
    """Both applications over an index that holds `texts` for every tenant."""
    rmtree(folder, ignore_errors=True)
    settings = bench_settings(folder).model_copy(update=more)
    migrate(settings.catalog_url)
    build_version("first", "main", settings.index_spec(), settings)
    promote("first", settings)
    with serving(settings, "retrieval", "gateway"):
        callers = Callers(settings)
        wait_until(callers.ready, "the platform", _START_S, lambda _: None)
        for tenant in tenants:
            callers.put(tenant, texts)
        yield callers


class Callers:
    """Clients of the HTTP API, of any tenant and class."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def showing(self, tenant: str, priority: str = "normal") -> dict[str, str]:
        scopes = ("answer", "retrieve", "write")
        return bearer(make_token(self.settings, tenant, *scopes, priority=priority, plan="unlimited"))

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.settings.http_url}/readyz", trust_env=False, timeout=20).is_success
        except httpx.HTTPError:
            return False

    def put(self, tenant: str, texts: dict[str, str]) -> None:
        headers = self.showing(tenant)
        with httpx.Client(base_url=self.settings.http_url, headers=headers, trust_env=False, timeout=60) as http:
            for doc_id, text in texts.items():
                body = {"text": text, "content_type": "text/markdown", "title": doc_id}
                http.put(f"/v1/documents/{doc_id}", json=body).raise_for_status()
            last = {"query": next(reversed(texts.values())), "top_k": 1}

            def found() -> bool:
                hits = http.post("/v1/retrieve", json=last).raise_for_status().json()["hits"]
                return bool(hits) and hits[0]["doc_id"] == next(reversed(texts))

            wait_until(found, "the documents", _START_S, lambda _: None)

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=256)
        return httpx.AsyncClient(base_url=self.settings.http_url, trust_env=False, timeout=180, limits=limits)

    async def ask(self, http: httpx.AsyncClient, shown: dict[str, str], tenant: str, body: dict[str, object]) -> Told:
        """A streamed answer, with the time of everything in it."""
        told, started = Told(tenant), time.perf_counter()
        async with http.stream("POST", "/v1/answer", json={**body, "stream": True}, headers=shown) as response:
            told.status, event = response.status_code, ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "sentence":
                    told.sentences_s.append(time.perf_counter() - started)
                elif line.startswith("data: ") and event == "answer":
                    answered = json.loads(line.removeprefix("data: "))
                    told.tier, told.reason = answered["tier"], answered["tier_reason"]
                    told.timings_ms = answered["timings_ms"]
        told.total_s = time.perf_counter() - started
        return told
