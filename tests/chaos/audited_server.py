"""A server with the product's door, ledger and routes over a retrieval that costs nothing, to be killed."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn

from include.quarry.audit.opening import open_ledger
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answers import Answer, AnswerEvent, Citation, VerifiedSentence
from include.quarry.generation.protocol import Usage
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.settings import Settings
from tests.door import open_test_door

_HITS = [
    Hit(
        Chunk(
            f"{n:032x}", DocumentKey("main", "red", f"doc-{n}"), 1, 0, "", "", Passage("Some text.", "", 0, 10, 2), {}
        ),
        0.5,
        {},
    )
    for n in range(10)
]
_CITED = Citation(1, _HITS[0].chunk.chunk_id, "doc-0", "", 0, 10)


def serve(home: Path, port: int, ship_every_s: float) -> None:
    """Serve until killed."""
    settings = Settings(home=home, audit_ship_interval_s=ship_every_s, _env_file=None)
    door = open_test_door(ledger=open_ledger(settings, "killed"))
    routers = (retrieval_routes(_retrieve, door), answer_routes(Asking(_retrieve, _answer), door))
    app = build_http_app(routers, door, max_document_bytes=1000)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run([listener])


async def _retrieve(corpus: str, query: str, top_k: int, scope: Scope, visit: Visit, **_: object) -> Retrieval:
    return Retrieval(_HITS, "v1", 7, {"total": 0.1})


async def _answer(question: str, hits: list[Hit], tier: str, visit: Visit) -> AsyncIterator[AnswerEvent]:
    for _ in range(20):
        yield VerifiedSentence("Some text [1].", (_CITED,))
    yield Answer("Some text [1].", (_CITED,), True, "fast", Usage(3, 4), {"total": 2.0})
