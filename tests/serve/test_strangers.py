"""What one tenant knows of another is nothing in its hands, and forged tokens open neither door: through the front."""

import time
from typing import Any

import httpx
import jwt
import pytest

from include.quarry.gateway.composition import bearer, make_token
from tests.serve.conftest import Api, poll

pytestmark = pytest.mark.serve
_BOUND_S = 30.0
_OWNER, _STRANGER = "vault", "burglar"
_RIGHTS = ("retrieve", "answer", "write", "feedback")


@pytest.fixture(scope="module")
def secret(api: Api) -> tuple[str, str]:
    """The id and a word of a document that is the owner's alone."""
    doc_id, said = "plans/gate.md", "The vault of Low Harrow opens with zyqsesame."
    api.put(doc_id, said, _OWNER, title="Gate").raise_for_status()
    poll(lambda: doc_id in api.found("zyqsesame", _OWNER), "the owner to find it", _BOUND_S)
    return doc_id, "zyqsesame"


@pytest.fixture
def shown(api: Api) -> dict[str, str]:
    """Of a stranger with all that a tenant may."""
    return bearer(make_token(api.settings, _STRANGER, *_RIGHTS))


def refused(response: httpx.Response, *statuses: int) -> None:
    assert response.status_code in statuses, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert "zyqsesame" not in response.text


@pytest.mark.parametrize("prefix", ["", f"{_OWNER}/", f"../{_OWNER}/", f"..%2f{_OWNER}%2f"])
def test_another_tenants_document_is_not_there(api: Api, shown: dict[str, str], secret: Any, prefix: str) -> None:
    for method in ("GET", "DELETE"):
        refused(api.http.request(method, f"/v1/documents/{prefix}{secret[0]}", headers=shown), 404, 422)
    assert secret[0] in api.found(secret[1], _OWNER)


def test_naming_another_tenant_in_a_body_is_refused(api: Api, shown: dict[str, str], secret: Any) -> None:
    bodies = {
        "/v1/retrieve": {"query": secret[1]},
        "/v1/answer": {"question": secret[1]},
        "/v1/feedback": {"query_id": "0" * 32, "rating": 1},
    }
    for path, body in bodies.items():
        refused(api.http.post(path, json=body | {"tenant": _OWNER}, headers=shown), 403)
        refused(api.http.post(path, json=body | {"scope": {"tenant": _OWNER}}, headers=shown), 422)
    refused(api.http.put("/v1/documents/a", json={"text": "a", "tenant": _OWNER}, headers=shown), 403)


def test_a_filter_that_names_another_tenant_is_refused(api: Api, shown: dict[str, str], secret: Any) -> None:
    for filters in ({"tenant": _OWNER}, {"tenant": _OWNER, "doc_id": secret[0]}):
        for path, body in _questions(secret[1]).items():
            refused(api.http.post(path, json=body | {"filters": filters}, headers=shown), 403)


def test_a_filter_or_a_header_that_points_at_another_tenant_finds_nothing(api: Api, shown: Any, secret: Any) -> None:
    headers = shown | {"X-Quarry-Tenant": _OWNER, "X-Tenant": _OWNER}
    told = {
        path: api.http.post(path, json=body | {"filters": {"doc_id": secret[0]}}, headers=headers)
        for path, body in _questions(secret[1]).items()
    }
    assert {response.status_code for response in told.values()} == {200}
    assert told["/v1/retrieve"].json()["hits"] == []
    assert told["/v1/answer"].json()["citations"] == []
    assert told["/v1/chat/completions"].json()["quarry"]["grounded"] is False


def test_another_tenants_query_can_be_neither_rated_nor_looked_up(api: Api, shown: Any, secret: Any) -> None:
    query_id = api.retrieve(secret[1], _OWNER).raise_for_status().json()["query_id"]
    rating = {"query_id": query_id, "rating": -1}
    own = bearer(make_token(api.settings, _OWNER, *_RIGHTS))
    poll(lambda: api.http.post("/v1/feedback", json=rating, headers=own).is_success, "the query log", _BOUND_S)
    refused(api.http.post("/v1/feedback", json=rating, headers=shown), 404)
    for params in ({"query_id": query_id}, {"tenant": _OWNER}, {}):
        refused(api.http.get("/v1/audit", params=params, headers=shown), 403)
    refused(api.http.get("/v1/usage", params={"tenant": _OWNER}, headers=shown), 403)


def test_forged_tokens_open_neither_door(api: Api, secret: Any) -> None:
    good = make_token(api.settings, _OWNER, *_RIGHTS)
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, signature = good.split(".")
    forged = {
        "none": jwt.encode(claims, None, "none"),
        "another secret": jwt.encode(claims, "a secret that is not the one, 32 bytes", "HS256"),
        "another tenant under the signature": f"{head}.{make_token(api.settings, _STRANGER).split('.')[1]}.{signature}",
        "truncated": good[:-10],
        "without a signature": f"{head}.{body}.",
        "expired": _made(api, exp=int(time.time()) - 60),
        "from the future": _made(api, nbf=int(time.time()) + 3600),
        "for another audience": _made(api, aud="another"),
        "of another issuer": _made(api, iss="another"),
    }
    asked: dict[str, dict[str, Any]] = {"/v1/retrieve": {"query": secret[1]}, "/v1/answer": {"question": secret[1]}}
    for what, token in forged.items():
        for path, question in asked.items():
            response = api.http.post(path, json=question, headers=bearer(token))
            assert response.status_code == 401, what
            refused(response, 401)
    assert api.http.post("/v1/retrieve", json={"query": "x"}, headers=bearer(good)).is_success


def _questions(words: str) -> dict[str, dict[str, Any]]:
    """The words as each route that searches is asked them."""
    chat = {"model": "quarry-fast", "messages": [{"role": "user", "content": words}]}
    return {"/v1/retrieve": {"query": words}, "/v1/answer": {"question": words}, "/v1/chat/completions": chat}


def _made(api: Api, **claims: object) -> str:
    """A token signed with the right secret that says something wrong."""
    said = jwt.decode(make_token(api.settings, _OWNER, *_RIGHTS), options={"verify_signature": False})
    return jwt.encode(said | claims, api.installation.secret("tokens"), "HS256")
