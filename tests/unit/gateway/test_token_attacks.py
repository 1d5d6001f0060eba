"""Every token that must not be believed, one by one, and ids of a tenant in the hands of another: never a 500."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.quarry.gateway.composition import bearer
from include.quarry.gateway.jwks import JwksUrl
from include.quarry.gateway.key_set import MAX_AGE_S, KeySet
from include.quarry.gateway.tokens import LEEWAY_S, TokenVerifier
from include.quarry.records import Scope
from tests.door import AUDIENCE, ISSUER, SECRET, claims, showing
from tests.servers.jwks import Issuer, ec_key, public_jwk, rsa_key, signed
from tests.unit.gateway.test_http import Platform, assert_problem, client_of

RSA, EC, STRANGER = rsa_key(), ec_key(), rsa_key()
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
NOW = int(time.time())


def encoded(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header: object, payload: object, secret: bytes | None = None) -> str:
    """A token as no library would make it."""
    signing_input = f"{encoded(header)}.{encoded(payload)}"
    if secret is None:
        return signing_input + "."
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing_input.encode(), secret)
    return f"{signing_input}.{encoded(signature)}"


def hs(**changes: Any) -> str:
    return jwt.encode(claims(**changes), SECRET, "HS256")


ATTACKS = {
    "no algorithm": by_hand({"alg": "none", "typ": "JWT"}, claims()),
    "no algorithm, in other letters": by_hand({"alg": "NoNe"}, claims()),
    "no algorithm, with a signature": by_hand({"alg": "none", "kid": "rsa"}, claims(), SECRET.encode()),
    "the algorithm is a list": by_hand({"alg": ["RS256"], "kid": "rsa"}, claims(), SECRET.encode()),
    "the algorithm is missing": by_hand({"kid": "rsa"}, claims(), SECRET.encode()),
    "an HMAC with the public key": by_hand({"alg": "HS256", "kid": "rsa"}, claims(), PEM),
    "an HMAC with an empty secret": by_hand({"alg": "HS256"}, claims(), b""),
    "an RSA token that names an EC key": signed(RSA, "ec"),
    "an EC token that names an RSA key": signed(EC, "rsa"),
    "HS256 relabelled as RS256": by_hand({"alg": "RS256", "kid": "rsa"}, claims(), SECRET.encode()),
    "HS512, which is not allowed": jwt.encode(claims(), SECRET * 2, "HS512"),
    "RS512, which is not allowed": jwt.encode(claims(), RSA, "RS512", headers={"kid": "rsa"}),
    "a stranger's key under a known id": signed(STRANGER, "rsa"),
    "a stranger's key that it brings along": jwt.encode(
        claims(),
        STRANGER,
        "RS256",
        headers={"kid": "x", "jwk": public_jwk(STRANGER, "x"), "jku": "http://127.0.0.1:1/"},
    ),
    "an unknown key id": signed(RSA, "nobody"),
    "a key id that is a path": signed(RSA, "../../../etc/passwd"),
    "a key id that is a number": by_hand({"alg": "RS256", "kid": 7}, claims(), b"x"),
    "no key id, with several keys": signed(RSA, None),
    "expired": hs(exp=NOW - 60),
    "expired, RSA": signed(RSA, "rsa", exp=NOW - 60),
    "without an end": hs(exp=None),
    "an end that is no time": by_hand({"alg": "HS256"}, claims(exp="soon"), SECRET.encode()),
    "an end that is no number": by_hand({"alg": "HS256"}, claims(exp=[1]), SECRET.encode()),
    "an infinite end": by_hand(
        {"alg": "HS256"}, json.dumps(claims(exp=0)).replace('"exp": 0', '"exp": 1e999').encode(), SECRET.encode()
    ),
    "not yet valid": hs(nbf=NOW + 3600),
    "made in the future": hs(iat=NOW + 3600),
    "for another audience": hs(aud="another"),
    "for no audience": hs(aud=None),
    "an audience that is an object": by_hand({"alg": "HS256"}, claims(aud={"a": 1}), SECRET.encode()),
    "of another issuer": hs(iss="https://evil.test"),
    "of no issuer": hs(iss=None),
    "of several issuers": by_hand({"alg": "HS256"}, claims(iss=[ISSUER]), SECRET.encode()),
    "of nobody": hs(sub=None),
    "of a subject that is a number": by_hand({"alg": "HS256"}, claims(sub=7), SECRET.encode()),
    "of a subject with a line break": hs(sub="a\nb"),
    "for no tenant": hs(tenant=None),
    "for a tenant that is a path": hs(tenant="../blue"),
    "for two tenants": hs(tenant=["red", "blue"]),
    "with scopes that are an object": hs(scope={"admin": True}),
    "with a priority of its own": hs(priority="now"),
    "with a plan that is no name": hs(plan="Gold Plan"),
    "truncated": hs()[:-10],
    "truncated in its middle": hs().split(".")[0],
    "changed by one letter": hs()[:-2] + ("A" if hs()[-2] != "A" else "B") + hs()[-1],
    "another payload under the signature": ".".join(
        [*hs().split(".")[:1], encoded(claims(tenant="blue")), hs().split(".")[2]]
    ),
    "a hundred kilobytes": "a" * 100_000,
    "a hundred kilobytes, well made": hs(junk="a" * 100_000),
    "garbage": "%%%",
    "four parts": hs() + ".x",
    "a header that is no object": by_hand([], claims(), SECRET.encode()),
    "a header that is no JSON": by_hand(b"{", claims(), SECRET.encode()),
    "a header nested too deeply": by_hand(b"[" * 5000, claims(), SECRET.encode()),
    "a payload that is no object": by_hand({"alg": "HS256"}, [], SECRET.encode()),
    "a payload that is no JSON": by_hand({"alg": "HS256"}, b"\xff", SECRET.encode()),
    "a critical extension": by_hand({"alg": "HS256", "crit": ["exp"]}, claims(), SECRET.encode()),
    "a detached payload": by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims(), SECRET.encode()),
}
"""What is wrong, and a token of which that is true."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.publish(public_jwk(RSA, "rsa"), public_jwk(EC, "ec"))
    yield issuer
    issuer.stop()


@pytest.fixture
def client(issuer: Issuer) -> httpx.AsyncClient:
    return client_of(Platform(), key_set=KeySet(JwksUrl(issuer.url)))


async def ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/retrieve", json={"query": "x"}, headers=bearer(token))


@pytest.mark.parametrize("what", ATTACKS)
async def test_a_token_that_is_not_right_is_refused(client: httpx.AsyncClient, what: str) -> None:
    response = await ask(client, ATTACKS[what])
    problem = assert_problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert ATTACKS[what][:200] not in json.dumps(problem)


@pytest.mark.parametrize("good", [hs(), signed(RSA, "rsa"), signed(EC, "ec"), hs(aud=["other", AUDIENCE])])
async def test_a_token_that_is_right_is_believed_again_and_again(client: httpx.AsyncClient, good: str) -> None:
    for _ in range(3):
        assert (await ask(client, good)).status_code == 200


@pytest.mark.parametrize(
    "shown",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Basic YTpi"],
        [hs()],
        ["Token " + hs()],
        ["Bearer " + hs(), "Bearer " + hs()],
        ["Bearer " + hs(), "Bearer x"],
        ["Bearer " + hs() + ", Bearer " + hs()],
        ["Bearer \u00e9\u00e9\u00e9"],
        ["Bearer a b c"],
    ],
)
async def test_a_header_that_is_not_right_is_refused(client: httpx.AsyncClient, shown: list[str]) -> None:
    del client.headers["Authorization"]
    headers = [(b"Authorization", value.encode()) for value in shown]
    response = await client.post("/v1/retrieve", json={"query": "x"}, headers=headers)
    assert_problem(response, 401)


async def test_a_huge_token_is_refused_unread(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("it was looked at")

    monkeypatch.setattr(jwt, "decode", decode)
    monkeypatch.setattr(jwt, "get_unverified_header", decode)
    assert_problem(await ask(client, "a" * 100_000), 401)


async def test_a_token_is_verified_once_and_again_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at, decode, moment = [], jwt.decode, [float(NOW)]

    def counted(*arguments: Any, **more: Any) -> Any:
        looked_at.append(arguments)
        return decode(*arguments, **more)

    monkeypatch.setattr(jwt, "decode", counted)
    tokens = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, secret=SECRET, now=lambda: moment[0])
    good = hs(exp=NOW + 3600).encode()
    for moment[0] in (NOW, NOW + 3600):
        assert (await tokens.verify(good)).tenant == "red"
    assert len(looked_at) == 1
    moment[0] = NOW + 3600 + LEEWAY_S
    await tokens.verify(good)
    assert len(looked_at) == 2


async def test_no_more_tokens_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.quarry.gateway.tokens._REMEMBERED", 10)
    tokens = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, secret=SECRET)
    for number in range(50):
        await tokens.verify(hs(jti=str(number)).encode())
    assert len(tokens._believed) == 10


async def test_a_token_is_not_believed_beyond_the_key_that_signed_it(issuer: Issuer) -> None:
    now = [0.0]
    keys = KeySet(JwksUrl(issuer.url), now=lambda: now[0])
    client, good = client_of(Platform(), key_set=keys), signed(RSA, "rsa")
    assert (await ask(client, good)).status_code == 200
    try:
        issuer.publish(public_jwk(EC, "ec"))
        now[0] += MAX_AGE_S
        assert (await ask(client, good)).status_code == 200  # starts the fetch, and does not wait for it
        assert keys._fetching is not None
        await keys._fetching
        assert_problem(await ask(client, good), 401)
    finally:
        issuer.publish(public_jwk(RSA, "rsa"), public_jwk(EC, "ec"))


async def test_known_keys_go_on_while_the_issuer_is_down_and_new_ones_may_come_back() -> None:
    issuer, now = Issuer(), [0.0]
    issuer.publish(public_jwk(RSA, "rsa"))
    client = client_of(Platform(), key_set=KeySet(JwksUrl(issuer.url), now=lambda: now[0]))
    assert (await ask(client, signed(RSA, "rsa"))).status_code == 200
    issuer.stop()
    now[0] += 1000.0
    for number in range(20):
        assert (await ask(client, signed(RSA, "rsa", jti=str(number)))).status_code == 200
    response = await ask(client, signed(EC, "ec"))
    assert_problem(response, 503)
    assert int(response.headers["retry-after"]) > 0
    issuer.publish(public_jwk(RSA, "rsa"), public_jwk(EC, "ec"))
    issuer.start()
    now[0] += 5.0
    assert (await ask(client, signed(EC, "ec"))).status_code == 200
    issuer.stop()


async def test_ids_of_one_tenant_are_nothing_in_the_hands_of_another() -> None:
    platform = Platform()
    client, red, blue = client_of(platform), showing("red"), showing("blue")
    assert (await client.put("/v1/documents/a", json={"text": "red"}, headers=red)).status_code == 202
    assert_problem(await client.get("/v1/documents/a", headers=blue), 404)
    assert_problem(await client.delete("/v1/documents/a", headers=blue), 404)
    assert_problem(await client.get("/v1/documents/red/a", headers=blue), 404)
    bodies = {403: {"tenant": "red"}, 422: {"scope": {"tenant": "red"}}}
    for status, body in bodies.items():
        assert_problem(await client.post("/v1/retrieve", json={"query": "x"} | body, headers=blue), status)
    named = {"query": "x", "filters": {"tenant": "red", "doc_id": "a"}}
    assert_problem(await client.post("/v1/retrieve", json=named, headers=blue), 403)
    assert platform.asked == []
    for header in ({"X-Quarry-Tenant": "red"}, {"X-Tenant": "red"}):
        await client.post("/v1/retrieve", json={"query": "x"}, headers=blue | header)
    assert {scope.tenant for *_, scope in platform.asked} == {"blue"}


async def test_naming_ones_own_tenant_narrows_nothing() -> None:
    platform = Platform()
    named = {"query": "x", "filters": {"tenant": "red", "doc_id": "a"}}
    answer = await client_of(platform).post("/v1/retrieve", json=named, headers=showing("red"))
    assert answer.status_code == 200
    assert [scope for *_, scope in platform.asked] == [Scope("red", {"doc_id": "a"})]
