"""Fixtures: a corpus of two documents with vectors, and the command line over it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.quarry.__main__ import main
from include.quarry.catalog.database import Database
from include.quarry.settings import Settings, load_settings
from tests.unit.routing.corpus import Corpus

HASH = '{"embedding": {"model": "hash", "dimensions": 8}}'


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    """The settings of the corpus are also those that a command reads."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUARRY_DATABASE_URL", catalog_url)
    monkeypatch.setenv("QUARRY_AIRFLOW_PORT", "1")  # nobody listens there
    load_settings.cache_clear()
    corpus = Corpus(database, load_settings())
    corpus.put("a", "Granite is hard.")
    corpus.put("b", "Chalk is soft.")
    corpus.embed()
    yield corpus
    load_settings.cache_clear()


@pytest.fixture
def versions_settings(corpus: Corpus) -> Settings:
    return corpus.settings


@pytest.fixture
def run(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `versions …`: exit code, what it printed, what it complained of."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["versions", *words])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def ask(run: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    """Run `versions … --json`, which must succeed; gives the document."""

    def ask(*words: str) -> Any:
        code, printed, complained = run(*words, "--json")
        assert (code, complained) == (0, "")
        return json.loads(printed)

    return ask
