"""How far everything lags is read off the API, by corpus and stream; where it cannot be told, that is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Unavailable
from include.quarry.operations.freshness import lags
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.servers.asgi import serving
from tests.unit.routing.corpus import SPEC, Corpus


@pytest.fixture
def api() -> Iterator[str]:
    app = FastAPI()

    @app.get("/v1/status")
    async def status(corpus: str, request: Request) -> dict[str, object]:
        assert request.headers["Authorization"].startswith("Bearer ")
        feeds = [{"feed": "stream:kafka:quarry:pages", "lag_seconds": 40.0}]
        return {"corpus": corpus, "lag_seconds": 3.5, "feeds": feeds}

    with serving(app) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, api: str) -> Settings:
    settings = Settings(home=tmp_path, http_address=api, _env_file=None)
    migrate(settings.catalog_url)
    return settings


def test_a_corpus_that_nothing_answers_for_has_no_lag(settings: Settings) -> None:
    assert lags(settings.model_copy(update={"http_address": "http://127.0.0.1:1"})) == {}


def test_each_corpus_and_each_of_its_streams_has_its_lag(settings: Settings) -> None:
    live(settings)
    assert lags(settings) == {"corpus main": 3.5, "stream stream:kafka:quarry:pages in corpus main": 40.0}


def test_an_api_that_does_not_answer_is_no_proof_of_freshness(settings: Settings) -> None:
    live(settings)
    with pytest.raises(Unavailable, match="does not say how fresh corpus 'main' is"):
        lags(settings.model_copy(update={"http_address": "http://127.0.0.1:1"}))


def live(settings: Settings) -> None:
    """A version answers for corpus main."""
    corpus = Corpus(Database(settings.catalog_url), settings)
    corpus.put("a", "Stone.")
    corpus.embed()
    build_version("v1", "main", SPEC, settings)
    promote("v1", settings)
    corpus.database.close()
