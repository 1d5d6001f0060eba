"""A response has one request id, the application's, whatever Serve adds."""

import httpx
import pytest
from ray.serve._private.http_util import _apply_middlewares
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ray_apps.gateway.request_id import middlewares


def answering(**headers: str) -> ASGIApp:
    """An application that answers with these headers, as Serve wraps it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("yes", headers=headers)(scope, receive, send)

    return _apply_middlewares(app, middlewares())


@pytest.mark.parametrize("sent", [{}, {"X-Request-Id": "the-callers"}])
async def test_the_applications_request_id_is_the_only_one(sent: dict[str, str]) -> None:
    for headers, seen in (({"x-request-id": "ours", "etag": "1"}, ["ours"]), ({}, None)):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(answering(**headers))) as http:
            response = await http.get("http://quarry/", headers=sent)
        ids = response.headers.get_list("x-request-id")
        assert ids == seen if seen else len(ids) == 1
        assert response.headers.get("etag") == headers.get("etag")
        assert response.text == "yes"
