"""A fake of the documented part of Pinecone's REST API that the official client speaks, with its documented limits.

https://docs.pinecone.io/reference/api: create, describe and delete an index; upsert, query, fetch by metadata, list,
delete, namespaces. Control plane and data plane are one server; an index's host is a path of it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.quarry.operations.health import wait_until
from tests.conftest import free_port

KEY = "pcsk_of_the_tests"
_VECTORS, _UPSERT_BYTES, _ANSWER_BYTES, _TOP_K, _IDS, _PAGE = 1000, 2_000_000, 4_000_000, 10_000, 1000, 100


class Index:
    """What one index holds: namespace, then id, then record."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.namespaces: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def dimension(self) -> int:
        return int(self.description["schema"]["fields"]["_values"]["dimension"])


class Fake:
    """The project. `failing` answers every request with that status."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.indexes: dict[str, Index] = {}
        self.failing = 0
        data = "/data/{name}"
        self.app = Starlette(
            routes=[
                Route("/indexes", self._create, methods=["POST"]),
                Route("/indexes/{name}", self._describe, methods=["GET"]),
                Route("/indexes/{name}", self._delete_index, methods=["DELETE"]),
                Route(data + "/vectors/upsert", self._upsert, methods=["POST"]),
                Route(data + "/query", self._query, methods=["POST"]),
                Route(data + "/vectors/fetch_by_metadata", self._fetch, methods=["POST"]),
                Route(data + "/vectors/delete", self._delete, methods=["POST"]),
                Route(data + "/vectors/list", self._list, methods=["GET"]),
                Route(data + "/namespaces", self._namespaces, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _problem},
        )

    async def _create(self, request: Request) -> Response:
        body = await self._body(request)
        name = body["name"]
        if name in self.indexes:
            raise HTTPException(409, f"index {name} exists")
        ready = {"ready": True, "state": "Ready"}
        host = f"{self.url}/data/{name}"
        self.indexes[name] = Index({"deletion_protection": "disabled", **body, "host": host, "status": ready})
        return JSONResponse(self.indexes[name].description, 201)

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(self._index(request).description)

    async def _delete_index(self, request: Request) -> Response:
        del self.indexes[self._index(request).description["name"]]
        return Response(status_code=202)

    async def _upsert(self, request: Request) -> Response:
        index, body = self._index(request), await self._body(request)
        records = body["vectors"]
        if len(records) > _VECTORS or len(await request.body()) > _UPSERT_BYTES:
            raise HTTPException(400, f"more than {_VECTORS} vectors or {_UPSERT_BYTES} bytes")
        for record in records:
            if len(record["values"]) != index.dimension or not any(record["values"]):
                raise HTTPException(400, "wrong dimension, or all zero")
            record["values"] = np.array(record["values"], np.float32).tolist()
        index.namespaces.setdefault(body.get("namespace", ""), {}).update({record["id"]: record for record in records})
        return JSONResponse({"upsertedCount": len(records)})

    async def _query(self, request: Request) -> Response:
        index, body = self._index(request), await self._body(request)
        if not 1 <= body["topK"] <= _TOP_K:
            raise HTTPException(400, f"topK is 1 to {_TOP_K}")
        seen = self._matching(index, body)
        vectors = np.array([record["values"] for record in seen], np.float32).reshape(-1, index.dimension)
        scores = vectors @ np.array(body["vector"], np.float32)
        matches = [
            {"id": seen[row]["id"], "score": float(scores[row])}
            | ({"values": seen[row]["values"]} if body.get("includeValues") else {})
            for row in np.argsort(-scores, kind="stable")[: body["topK"]]
        ]
        response = JSONResponse({"matches": matches, "namespace": body.get("namespace", "")})
        if len(response.body) > _ANSWER_BYTES:
            raise HTTPException(400, f"the answer is larger than {_ANSWER_BYTES} bytes")
        return response

    async def _fetch(self, request: Request) -> Response:
        body = await self._body(request)
        return JSONResponse(
            _page(self._matching(self._index(request), body), body.get("paginationToken"), body.get("limit", _PAGE))
        )

    async def _delete(self, request: Request) -> Response:
        index, body = self._index(request), await self._body(request)
        if len(body["ids"]) > _IDS:
            raise HTTPException(400, f"more than {_IDS} ids")
        for row_id in body["ids"]:
            index.namespaces.get(body.get("namespace", ""), {}).pop(row_id, None)
        return JSONResponse({})

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        held = self._index(request).namespaces.get(query.get("namespace", ""), {})
        own = sorted(row_id for row_id in held if row_id.startswith(query.get("prefix", "")))
        start = int(query.get("paginationToken", 0))
        page: dict[str, Any] = {"vectors": [{"id": row_id} for row_id in own[start : start + _PAGE]]}
        if start + _PAGE < len(own):
            page["pagination"] = {"next": str(start + _PAGE)}
        return JSONResponse(page)

    async def _namespaces(self, request: Request) -> Response:
        held, prefix = self._index(request).namespaces, request.query_params.get("prefix", "")
        own = [
            {"name": name, "record_count": len(records)} for name, records in held.items() if name.startswith(prefix)
        ]
        return JSONResponse({"namespaces": own, "total_count": len(own)})

    def _matching(self, index: Index, body: dict[str, Any]) -> list[dict[str, Any]]:
        held = index.namespaces.get(body.get("namespace", ""), {})
        return [record for record in held.values() if _holds(body.get("filter", {}), record.get("metadata", {}))]

    def _index(self, request: Request) -> Index:
        self._check(request)
        try:
            return self.indexes[request.path_params["name"]]
        except KeyError as error:
            raise HTTPException(404, "no such index") from error

    async def _body(self, request: Request) -> dict[str, Any]:
        self._check(request)
        body: dict[str, Any] = await request.json()
        return body

    def _check(self, request: Request) -> None:
        if request.headers.get("api-key") != KEY:
            raise HTTPException(401, "invalid api key")
        if self.failing:
            raise HTTPException(self.failing, "as asked")


@contextmanager
def fake_pinecone() -> Iterator[Fake]:
    """The fake, served on a free port of the loopback."""
    port = free_port()
    fake = Fake(f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(fake.app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the fake of Pinecone", timeout_s=30, tick=lambda _: None)
    try:
        yield fake
    finally:
        server.should_exit = True
        thread.join()


def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": {"code": str(error.status_code), "message": error.detail}, "status": error.status_code},
        error.status_code,
    )


def _page(records: list[dict[str, Any]], token: str | None, limit: int) -> dict[str, Any]:
    start = int(token or 0)
    page: dict[str, Any] = {"vectors": {record["id"]: record for record in records[start : start + limit]}}
    if start + limit < len(records):
        page["pagination"] = {"next": str(start + limit)}
    return page


def _holds(condition: dict[str, Any], metadata: dict[str, Any]) -> bool:
    for name, wanted in condition.items():
        if name == "$and":
            if not all(_holds(each, metadata) for each in wanted):
                return False
            continue
        ((operator, value),) = wanted.items()
        held = metadata.get(name)
        if held is None or not {"$eq": held == value, "$in": operator == "$in" and held in value}.get(
            operator, operator == "$gt" and held > value
        ):
            return False
    return True
