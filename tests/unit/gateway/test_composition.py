"""The door as the settings say it: in production nothing is made up, and our own clients always have a token."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from include.quarry.errors import InvalidInput, Misconfigured, Unauthenticated
from include.quarry.gateway.composition import make_token, only_tenant, open_door, own_token
from include.quarry.gateway.visit import Visit
from include.quarry.operations.installation import Installation
from include.quarry.settings import Settings
from tests.door import claims
from tests.servers.jwks import ec_key, public_jwk, signed

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
NAMED = {"mode": "production", "token_issuer": "https://idp.example", "token_audience": "quarry.example"}


def settings(home: Path, **changes: Any) -> Settings:
    return Settings(home=home / "home", _env_file=None, **changes)


async def received(settings: Settings, token: str) -> Visit:
    return await open_door(settings).receive([(b"authorization", f"Bearer {token}".encode())])


async def test_what_is_made_here_is_believed_here_and_nowhere_else(tmp_path: Path) -> None:
    here, there = settings(tmp_path / "a"), settings(tmp_path / "b")
    token = make_token(here, "acme", "retrieve", "answer", subject="ada", priority="urgent", plan="gold")
    caller = (await received(here, token)).caller
    assert (caller.tenant, caller.subject, caller.priority, caller.plan) == ("acme", "ada", "urgent", "gold")
    assert caller.scopes == {"retrieve", "answer"}
    with pytest.raises(Unauthenticated):
        await received(there, token)


@pytest.mark.parametrize(
    "changes",
    [
        {"token_secret": "short"},
        {"token_secret": "a" * 64},
        NAMED,
        NAMED | {"token_secret": "secret"},
        NAMED | {"token_secret": SECRET, "token_issuer": ""},
        NAMED | {"token_secret": SECRET, "token_audience": ""},
        NAMED | {"token_jwks": "/no/such/file.json"},
        NAMED | {"token_jwks": "http://idp.example/jwks.json"},
    ],
)
def test_a_door_that_would_let_strangers_in_does_not_open(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="QUARRY_"):
        open_door(settings(tmp_path, **changes))
    assert not (Installation(settings(tmp_path)).run / "tokens.secret").exists()


def test_the_secret_of_development_is_none_of_production(tmp_path: Path) -> None:
    made_up = Installation(settings(tmp_path)).secret("tokens")
    with pytest.raises(Misconfigured, match="made up for development"):
        open_door(settings(tmp_path, **NAMED, token_secret=made_up))


@pytest.mark.parametrize("jwks", ["https://idp.example/jwks.json", "http://127.0.0.1:1/jwks.json"])
def test_production_opens_with_an_issuer_that_may_be_away(tmp_path: Path, jwks: str) -> None:
    open_door(settings(tmp_path, **NAMED, token_jwks=jwks))
    assert not (Installation(settings(tmp_path)).run / "tokens.secret").exists()


async def test_production_believes_the_key_set_and_no_made_up_secret(tmp_path: Path) -> None:
    key, path = ec_key(), tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public_jwk(key, "one")]}))
    production = settings(tmp_path, **NAMED, token_jwks=str(path))
    made_up = Installation(settings(tmp_path)).secret("tokens")
    names = {"iss": NAMED["token_issuer"], "aud": NAMED["token_audience"]}
    assert (await received(production, signed(key, "one", **names))).caller.tenant == "red"
    with pytest.raises(Unauthenticated):
        await received(production, jwt.encode(claims(**names), made_up, "HS256"))


def test_our_own_clients_sign_or_show_what_they_were_given(tmp_path: Path) -> None:
    given = make_token(settings(tmp_path), "acme", "retrieve")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [public_jwk(ec_key(), "one")]}))
    production = settings(tmp_path, **NAMED, token_jwks=str(jwks))
    with pytest.raises(Misconfigured, match="QUARRY_TOKEN"):
        own_token(production, "acme", "retrieve")
    shown = production.model_copy(update={"token": given})
    assert own_token(shown, "acme", "retrieve") == given
    assert only_tenant(shown) == "acme"
    with pytest.raises(Misconfigured, match="acme"):
        own_token(shown, "other", "retrieve")
    signing = shown.model_copy(update={"token_secret": SECRET})
    assert only_tenant(signing) is None
    assert own_token(signing, "other", "retrieve") != given
    with pytest.raises(Misconfigured, match="no JSON Web Token"):
        only_tenant(production.model_copy(update={"token": "x"}))


@pytest.mark.parametrize(
    "changes",
    [{"tenant": "../a"}, {"scopes": ("root",)}, {"priority": "now"}, {"plan": "A B"}, {"ttl_s": 0}, {"ttl_s": 1e12}],
)
def test_a_token_that_no_door_accepts_is_not_made(tmp_path: Path, changes: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"tenant": "acme", "scopes": ("retrieve",)} | changes
    with pytest.raises(InvalidInput):
        make_token(settings(tmp_path), wanted.pop("tenant"), *wanted.pop("scopes"), **wanted)


@pytest.mark.parametrize("module", ["ray_apps.gateway.app", "ray_apps.retrieval.app"])
def test_an_unsafe_door_stops_the_application_too(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    app = importlib.import_module(module)
    monkeypatch.setattr(app, "load_settings", lambda: settings(tmp_path, **NAMED))
    with pytest.raises(Misconfigured, match="QUARRY_TOKEN_JWKS"):
        app.build_app(app.GatewayApp() if hasattr(app, "GatewayApp") else app.RetrievalApp())
