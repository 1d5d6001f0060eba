"""The page's files: for everybody, of the right kind, asked for again by their tag, held in by a strict policy."""

import re

import httpx
import pytest

from include.quarry.gateway import page_routes as module
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.page_routes import PAGE_PATHS, page_routes
from tests.door import open_test_door


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = build_http_app([page_routes(["What is it?"])], open_test_door(), max_document_bytes=1000)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://quarry")


async def test_everybody_gets_every_file_without_a_token(client: httpx.AsyncClient) -> None:
    kinds = {path: (await client.get(path)).raise_for_status().headers["content-type"] for path in PAGE_PATHS}
    assert kinds["/"] == "text/html; charset=utf-8"
    assert kinds["/page/page.js"] == "text/javascript; charset=utf-8"
    assert kinds["/page/page.css"] == "text/css; charset=utf-8"
    assert kinds["/page/icon.svg"] == "image/svg+xml"
    assert (await client.get("/page/examples.json")).json() == ["What is it?"]


def test_no_file_of_the_folder_is_forgotten() -> None:
    assert {file.name for file in module._FOLDER.iterdir()} == set(module._FILES.values())


async def test_a_browser_that_has_a_file_is_told_so(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    again = await client.get("/", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"
    assert (await client.head("/")).status_code == 200


async def test_nothing_but_our_own_files_may_run_or_be_asked(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    for path in PAGE_PATHS:
        text = (await client.get(path)).text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://[a-z]", text), path
        assert not re.search(r"<script>|<style|\son[a-z]+=|style=|innerHTML|insertAdjacentHTML|eval\(", text), path


async def test_other_paths_still_need_a_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/page/index.html")).status_code == 401
    assert (await client.get("/page/../page_routes.py")).status_code == 401
