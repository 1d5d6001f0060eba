"""The OpenAPI document says all that can happen: who may call, which headers count, and every problem that may come."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from include.quarry.gateway.door import Admission
from include.quarry.gateway.schema import Problem

_MEDIA_TYPE = "application/problem+json"
_OPEN = (503,)
_GUARDED = (401, 403, 404, 409, 422, 429, 503, 504)
_WITH_BODY = (400, 413, 415)
"""Statuses of problems: of every route, of those that need a token, and of those that read a body besides."""
_HEADERS = [
    {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "milliseconds after which nobody waits for the answer any more; the server has its own bound",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    },
    {
        "name": "traceparent",
        "in": "header",
        "required": False,
        "description": "the trace that the request belongs to (W3C Trace Context); returned, with a span of ours",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    },
]
_NAMES = {
    "X-Request-Id": {"description": "the query_id of the request", "schema": {"type": "string"}},
    "traceparent": {"description": "the span that the request was", "schema": {"type": "string"}},
    "RateLimit-Policy": {
        "description": "limits of the tenant: `q` is what a window of `w` seconds admits (IETF draft, version 10)",
        "schema": {"type": "string", "examples": ['"requests";q=10000;w=2, "tokens";q=100000;w=86400']},
    },
    "RateLimit": {
        "description": "what remains of each limit, `r`, and the seconds until its window ends, `t`",
        "schema": {"type": "string", "examples": ['"requests";r=9997;t=1, "tokens";r=64201;t=40233']},
    },
}


def describe(app: FastAPI) -> None:
    """Let the application's document list problems, security and headers; routes may still say more themselves."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            for route in app.routes:
                if isinstance(route, APIRoute) and route.include_in_schema:
                    for method in route.methods:
                        _complete(document["paths"][route.path_format][method.lower()], _scopes(route.dependant))
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], scopes: list[str]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    may_come = (_GUARDED if scopes else _OPEN) + (_WITH_BODY if "requestBody" in operation else ())
    for status in may_come:
        responses.setdefault(str(status), _problem(status))
    if scopes:
        operation["security"] = [{"token": scopes}]
        operation["parameters"] = [*operation.get("parameters", []), *_HEADERS]
        responses["403"]["description"] = f"the token lacks a scope of: {', '.join(scopes)}; or a quota is reached"
        for response in responses.values():
            response.setdefault("headers", {}).update(_NAMES)


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": HTTPStatus(status).phrase, "content": {_MEDIA_TYPE: {"schema": schema}}}


def _scopes(dependant: Dependant) -> list[str]:
    return sorted({admission.scope for admission in _admissions(dependant)})


def _admissions(dependant: Dependant) -> Iterator[Admission]:
    if isinstance(dependant.call, Admission):
        yield dependant.call
    for below in dependant.dependencies:
        yield from _admissions(below)
