"""Replicas that follow one log, each in its own time, agree on what a tenant's holding is called."""

import random
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.versions import find_version
from include.quarry.retrieval.index import Index
from include.quarry.routing.building import build_version
from include.quarry.routing.follower import Follower
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus

TENANTS = ("red", "blue")
STEPS = 60


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    return Corpus(Database(url), Settings(home=tmp_path / "home", database_url=url))


def held(index: Index, tenant: str) -> frozenset[tuple[str, int]]:
    contents = dict(index.contents())
    own = (chunk for chunk in index.chunks(list(contents)) if chunk.key.tenant == tenant)
    return frozenset((chunk.chunk_id, chunk.doc_version) for chunk in own)


@pytest.mark.parametrize("seed", range(4))
def test_replicas_name_a_tenants_holding_alike_exactly_when_they_hold_the_same(
    corpus: Corpus, tmp_path: Path, seed: int
) -> None:
    """New texts wait for their vectors until somebody embeds; texts that were seen before are applied ahead of them."""
    dice = random.Random(seed)
    corpus.put("first", "Granite.", "red")
    corpus.embed()
    build_version("v1", "main", SPEC, corpus.settings, patience_s=0)
    with corpus.database.read() as connection:
        snapshot = Path(find_version(connection, "v1").snapshot)
    replicas = [Index.load(snapshot, tmp_path / f"replica-{number}") for number in range(3)]
    followers = [Follower(corpus.database, corpus.lake, index, "main") for index in replicas]
    names: dict[tuple[str, frozenset[tuple[str, int]]], str] = {}
    waited = 0
    for number in range(STEPS):
        doc_id, tenant = dice.choice("abc"), dice.choice(TENANTS)
        match dice.randrange(5):
            case 0:
                corpus.put(doc_id, f"Stone number {number}.", tenant)
            case 1:
                corpus.put(doc_id, dice.choice(("Granite.", "Stone number 1.", "Stone number 2.")), tenant)
            case 2:
                corpus.delete(doc_id, tenant)
            case 3:
                corpus.embed()
            case 4:
                waited += dice.choice(followers).step()
        for index in replicas:
            for each in TENANTS:
                holding = index.holding(each)
                assert holding is not None
                assert names.setdefault((each, held(index, each)), holding.name) == holding.name
    assert waited
    of_tenant = [(tenant, name) for (tenant, _), name in names.items()]
    assert len(set(of_tenant)) == len(of_tenant) > len(TENANTS) + 5
