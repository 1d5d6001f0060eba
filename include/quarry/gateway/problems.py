"""Errors become problem bodies (RFC 9457): what was wrong, what is allowed, what to do. Never a stack trace."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from include.quarry.errors import Forbidden, QuarryError
from include.quarry.gateway.door import VISIT
from include.quarry.gateway.visit import Visit

logger = logging.getLogger(__name__)
_MEDIA_TYPE = "application/problem+json"
_TENANT = ("body", "tenant")


def install_problem_handlers(app: FastAPI) -> None:
    """Let every error of the application leave as a problem body."""
    app.add_exception_handler(QuarryError, _quarry_error)
    app.add_exception_handler(RequestValidationError, _refused_fields)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> JSONResponse:
    """A response with a problem body."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=_MEDIA_TYPE)


def problem_of(error: QuarryError) -> JSONResponse:
    """The response that an error of ours stands for."""
    return problem(error.status, error.title, str(error), headers=error.headers)


async def _quarry_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QuarryError)  # noqa: S101 - registered for this class
    return problem_of(error)


async def _refused_fields(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    if any(item["loc"] == _TENANT and item["type"] == "extra_forbidden" for item in error.errors()):
        return problem_of(Forbidden("the body names a tenant, which only a token can do; leave `tenant` out"))
    errors = [{"field": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['field']}: {item['problem']}" for item in errors[:5])
    return problem(422, "Invalid input", detail, errors=errors[:50])


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return problem(
        error.status_code, str(error.detail), f"{error.detail}; the API is described at /docs", headers=error.headers
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    visit: Visit | None = request.scope.get(VISIT)
    query_id = visit.query_id if visit else "none"
    logger.error("unexpected error on %s %s, request %s", request.method, request.url.path, query_id, exc_info=error)
    detail = "the request could not be completed; the server's log has the reason beside the X-Request-Id"
    return problem(500, "Internal error", detail, headers={"X-Request-Id": query_id})
