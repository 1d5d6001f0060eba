"""Whatever is sent, it is refused with a problem body that says why: never a 5xx, and the service answers on."""

import base64

import httpx
import pytest

from tests.serve.conftest import Api

pytestmark = pytest.mark.serve
_MIB = 2**20
_BROKEN_PDF = base64.b64encode(b"%PDF-1.7\nnothing follows").decode()
_BINARY = base64.b64encode(bytes(range(256)) * 8).decode()

_BODIES = {
    "empty body": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"query": "caf\xe9"}',
    "lone surrogate": b'{"query": "\\ud800"}',
    "array for an object": b"[1, 2]",
    "empty query": b'{"query": "   "}',
    "query of 100,000 characters": b'{"query": "' + b"a" * 100_000 + b'"}',
    "NUL in the query": b'{"query": "a\\u0000b"}',
    "unknown field": b'{"query": "x", "foo": 1}',
    "top_k of a billion": b'{"query": "x", "top_k": 1000000000}',
    "top_k of nothing": b'{"query": "x", "top_k": 0}',
    "filters that are no object": b'{"query": "x", "filters": [1]}',
    "corpus that is a path": b'{"query": "x", "corpus": "../etc"}',
    "corpus that is not there": b'{"query": "x", "corpus": "nowhere"}',
}
_DOCUMENTS: dict[str, dict[str, object]] = {
    "no content": {},
    "empty text": {"text": ""},
    "blank text": {"text": " \n\t "},
    "text and content": {"text": "a", "content": "YQ==", "content_type": "text/plain"},
    "unknown field": {"text": "a", "colour": "red"},
    "not base64": {"content": "!!!", "content_type": "text/plain"},
    "broken PDF": {"content": _BROKEN_PDF, "content_type": "application/pdf"},
    "binary called PDF": {"content": _BINARY, "content_type": "application/pdf"},
    "binary called docx": {
        "content": _BINARY,
        "content_type": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    },
    "unknown content type": {"content": "YQ==", "content_type": "application/x-nothing"},
    "metadata that is no object": {"text": "a", "metadata": "red"},
}
_TOKENS = {
    "nothing": "",
    "no token": "Bearer",
    "no JSON Web Token": "Bearer a.b.c",
    "another scheme": "Basic YTpi",
    "9 kB": "Bearer " + "x" * 9000,
    "100 kB": "Bearer " + "x" * 100_000,
    "100 KiB in three parts": "Bearer " + ".".join(["eyJhbGciOiJIUzI1NiJ9", "x" * 102_400, "y"]),
}


@pytest.mark.parametrize("path", ["/v1/retrieve", "/v1/answer"])
@pytest.mark.parametrize("what", _BODIES)
def test_a_bad_query_is_refused(api: Api, path: str, what: str) -> None:
    body = _BODIES[what].replace(b'"query"', b'"question"') if path == "/v1/answer" else _BODIES[what]
    _is_refused(api, api.http.post(path, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("what", _DOCUMENTS)
def test_a_bad_document_is_refused(api: Api, what: str) -> None:
    _is_refused(api, api.http.put("/v1/documents/bad", json=_DOCUMENTS[what]))
    assert api.http.get("/v1/documents/bad").status_code == 404


@pytest.mark.parametrize("doc_id", ["..%2f..%2fetc%2fpasswd", "a/%2e%2e/%2e%2e/b", "a%00b", "a//b", "%2e", "x" * 600])
def test_a_doc_id_that_is_a_path_or_no_name_is_refused(api: Api, doc_id: str) -> None:
    _is_refused(api, api.http.put(f"/v1/documents/{doc_id}", json={"text": "a"}))


@pytest.mark.parametrize("path", ["/v1/retrieve", "/v1/answer"])
@pytest.mark.parametrize("what", _TOKENS)
def test_who_shows_no_token_of_ours_is_sent_away(api: Api, path: str, what: str) -> None:
    """/v1/retrieve has a door of its own."""
    response = api.http.post(path, json={"query": "anything"}, headers={"Authorization": _TOKENS[what]})
    _is_refused(api, response)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert len(response.text) < 1000


@pytest.mark.parametrize("path", ["/v1/documents/big", "/v1/retrieve"])
def test_fifty_megabytes_are_refused(api: Api, path: str) -> None:
    body = b'{"text": "' + b"a" * (50 * _MIB) + b'"}'
    method = "PUT" if "documents" in path else "POST"
    try:
        response = api.http.request(method, path, content=body, headers={"Content-Type": "application/json"})
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # refused while it was still being sent: the answer went by with the connection
    _is_refused(api, response)
    assert response.status_code == 413


def test_binary_called_text_is_refused_or_read_and_never_breaks(api: Api) -> None:
    response = api.http.put("/v1/documents/binary", json={"content": _BINARY, "content_type": "text/plain"})
    assert response.status_code in (202, 422)
    assert api.http.get("/healthz").is_success
    api.delete("binary")


def _is_refused(api: Api, response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    assert api.http.get("/healthz").is_success
