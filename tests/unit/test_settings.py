import pytest

from include.quarry.errors import Misconfigured
from include.quarry.settings import load_settings


@pytest.fixture(autouse=True)
def read_anew(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HTTP_PORT", "80x"),
        ("HTTP_PORT", ""),
        ("MODE", "prod"),
        ("HOST", "localhost"),
        ("HOST", "::1"),
        ("GATE_SUITES", "{wiki"),
        ("NODE_PRICE_PER_HOUR", '{"spot": "dear"}'),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence_that_names_it(name, said, monkeypatch):
    monkeypatch.setenv(f"QUARRY_{name}", said)
    with pytest.raises(Misconfigured, match=f"(?is){name}.*\\.env\\.example") as refusal:
        load_settings()
    assert "pydantic" not in str(refusal.value)


def test_every_setting_that_cannot_be_is_named_at_once(monkeypatch):
    monkeypatch.setenv("QUARRY_HTTP_PORT", "0")
    monkeypatch.setenv("QUARRY_CACHE", "disk")
    with pytest.raises(Misconfigured, match=r"(?s)QUARRY_HTTP_PORT=0.*QUARRY_CACHE=disk.*'off'"):
        load_settings()
