"""Keys of an issuer: fetched once, anew when they change, and never at the price of a request whose key is known."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.gateway import key_set as module
from include.quarry.gateway.jwks import JwksFile, JwksUrl, open_jwks, read_keys
from include.quarry.gateway.key_set import MAX_AGE_S, PAUSE_S, KeySet
from tests.servers.jwks import Issuer, ec_key, public_jwk, rsa_key

ONE, OTHER = ec_key(), ec_key()


class Clock:
    """Time as a test wants it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.publish(public_jwk(ONE, "one"))
    yield issuer
    issuer.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> KeySet:
    return KeySet(JwksUrl(issuer.url), now=clock)


async def settled(keys: KeySet) -> None:
    """Wait for the fetch that runs now."""
    if keys._fetching is not None:
        await keys._fetching


async def test_keys_are_fetched_once_for_all_who_ask_at_once(keys: KeySet, issuer: Issuer) -> None:
    found = await asyncio.gather(*(keys.find("one") for _ in range(50)))
    assert all(key is not None and key.algorithm_name == "ES256" for key in found)
    assert issuer.asked == 1


async def test_a_new_key_is_found_at_its_first_token(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    assert await keys.find("one")
    issuer.publish(public_jwk(OTHER, "other"), public_jwk(ONE, "one"))
    clock.now_s += PAUSE_S
    assert await keys.find("other")
    assert issuer.asked == 2


async def test_unknown_ids_cannot_hammer_the_host(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    await keys.find("one")
    for number in range(1000):
        assert await keys.find(f"unknown-{number}") is None
    assert issuer.asked == 1
    clock.now_s += PAUSE_S
    await asyncio.gather(*(keys.find(f"unknown-{number}") for number in range(1000)))
    assert issuer.asked == 2


async def test_known_keys_do_not_wait_while_the_host_is_silent(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    await keys.find("one")
    issuer.holds = threading.Event()
    clock.now_s += MAX_AGE_S
    stranger = asyncio.create_task(keys.find("unknown"))
    await asyncio.sleep(0)
    assert keys._fetching is not None
    assert await keys.find("one")
    assert not stranger.done()
    issuer.holds.set()
    assert await stranger is None


async def test_stale_keys_go_on_while_the_host_is_down_and_it_recovers(
    keys: KeySet, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await keys.find("one")
    issuer.stop()
    for _ in range(5):
        clock.now_s += MAX_AGE_S
        assert await keys.find("one")
        await settled(keys)
    with pytest.raises(Unavailable, match="try again"):
        await keys.find("other")
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    issuer.publish(public_jwk(OTHER, "other"))
    issuer.start()
    clock.now_s += PAUSE_S
    assert await keys.find("other")
    assert await keys.find("one") is None


@pytest.mark.parametrize(
    "document", [b"<html>", b"[]", b'{"keys": 1}', b'{"keys": []}', b"[" * 100_000, b"x" * 300_000]
)
async def test_an_answer_that_is_no_key_set_changes_nothing(
    keys: KeySet, issuer: Issuer, clock: Clock, document: bytes
) -> None:
    await keys.find("one")
    issuer.document = document
    clock.now_s += MAX_AGE_S
    assert await keys.find("one")
    await settled(keys)
    assert issuer.asked == 2
    assert await keys.find("one")
    assert keys.revision == 0


async def test_an_error_page_is_no_answer(keys: KeySet, issuer: Issuer) -> None:
    issuer.status = 500
    with pytest.raises(Unavailable):
        await keys.find("one")


async def test_a_host_that_never_answers_is_given_up(keys: KeySet, issuer: Issuer, monkeypatch) -> None:
    monkeypatch.setattr("include.quarry.gateway.jwks._PATIENCE_S", 0.05)
    issuer.holds = threading.Event()
    with pytest.raises(Unavailable):
        await keys.find("one")
    issuer.holds.set()


async def test_a_key_that_was_taken_back_makes_a_revision(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    await keys.find("one")
    issuer.publish(public_jwk(ONE, "one"), public_jwk(OTHER, "other"))
    clock.now_s += MAX_AGE_S
    keys.keep_fresh()
    await settled(keys)
    assert keys.revision == 0
    issuer.publish(public_jwk(OTHER, "one"))
    clock.now_s += MAX_AGE_S
    keys.keep_fresh()
    await settled(keys)
    assert keys.revision == 1


async def test_without_an_id_the_only_key_is_meant(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    issuer.publish(public_jwk(ONE, None))
    assert await keys.find(None)
    issuer.publish(public_jwk(ONE, "one"), public_jwk(OTHER, "other"))
    clock.now_s += MAX_AGE_S
    keys.keep_fresh()
    await settled(keys)
    assert await keys.find(None) is None


def test_only_keys_for_signatures_of_the_two_kinds_are_read() -> None:
    strong, weak = rsa_key(), rsa_key(1024)
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"}
    private = public_jwk(strong, "private", d="AQAB")
    listed = [
        public_jwk(strong, "rsa"),
        public_jwk(ONE, "ec", use="sig", alg="ES256", key_ops=["verify"]),
        public_jwk(weak, "weak"),
        public_jwk(strong, "encryption", use="enc"),
        public_jwk(strong, "other algorithm", alg="RS512"),
        public_jwk(strong, "pretends", alg="HS256"),
        public_jwk(strong, "operations", key_ops=["sign"]),
        public_jwk(strong, "no operations", key_ops=7),
        public_jwk(ec_key(SECP384R1()), "curve"),
        public_jwk(strong, "broken", n="!"),
        public_jwk(ONE, "point", x="AAAA"),
        {"kty": "RSA", "kid": 7},
        secret,
        private,
        "none",
    ]
    found = read_keys(json.dumps({"keys": listed}).encode())
    assert {key_id: key.algorithm_name for key_id, key in found.items()} == {"rsa": "RS256", "ec": "ES256"}


async def test_a_file_of_keys_is_read_again_when_one_is_unknown(tmp_path, clock: Clock) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public_jwk(ONE, "one")]}))
    place = open_jwks(str(path), strict=True)
    assert isinstance(place, JwksFile)
    keys = KeySet(place, now=clock)
    assert await keys.find("one")
    path.write_text(json.dumps({"keys": [public_jwk(OTHER, "other")]}))
    clock.now_s += module.PAUSE_S
    assert await keys.find("other")


@pytest.mark.parametrize(
    "place", ["/no/such/file", "ftp://host/jwks", "https://", "https://host:99999/", "http://idp.example/jwks"]
)
def test_a_place_without_safe_keys_stops_the_start(place: str) -> None:
    with pytest.raises(Misconfigured, match="QUARRY_TOKEN_JWKS"):
        open_jwks(place, strict=True)
