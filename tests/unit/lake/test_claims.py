"""Claims: two workers never embed the same text, and a dead one does not keep it for ever."""

import threading

import numpy as np

from include.quarry.catalog.database import Database
from include.quarry.lake.claims import claim, release
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors

TEXTS = [f"text-{number}" for number in range(50)]


def test_what_one_owner_holds_no_other_gets(database: Database) -> None:
    assert claim(database, "space", ["a", "b"], "one", 60) == ["a", "b"]
    assert claim(database, "space", ["b", "c"], "two", 60) == ["c"]


def test_the_same_owner_claims_again_after_a_restart(database: Database) -> None:
    claim(database, "space", ["a"], "one", 60)
    assert claim(database, "space", ["a"], "one", 60) == ["a"]


def test_an_expired_claim_is_free(database: Database) -> None:
    claim(database, "space", ["a"], "one", -1)
    assert claim(database, "space", ["a"], "two", 60) == ["a"]


def test_a_released_claim_is_free(database: Database) -> None:
    claim(database, "space", ["a"], "one", 60)
    with database.write() as connection:
        release(connection, "space", "one")
    assert claim(database, "space", ["a"], "two", 60) == ["a"]


def test_who_stores_fresh_vectors_gives_its_claims_back(database: Database, tmp_path: object) -> None:
    claim(database, "space", ["a", "b"], "one", 60)
    claim(database, "space", ["c"], "two", 60)
    VectorLake(database, str(tmp_path)).put_inline(
        ["a"], Vectors("space", np.ones((1, 2), np.float32)), claimed_by="one"
    )
    assert claim(database, "space", ["a", "b", "c"], "three", 60) == ["b"]


def test_an_embedded_text_cannot_be_claimed(database: Database, tmp_path: object) -> None:
    VectorLake(database, str(tmp_path)).put_inline(["a"], Vectors("space", np.ones((1, 2), np.float32)))
    assert claim(database, "space", ["a", "b"], "one", 60) == ["b"]


def test_racing_owners_share_the_texts_without_overlap(database: Database) -> None:
    won: dict[str, list[str]] = {}

    def race(owner: str) -> None:
        won[owner] = claim(database, "space", TEXTS, owner, 60)

    threads = [threading.Thread(target=race, args=(f"owner-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text for texts in won.values() for text in texts) == sorted(TEXTS)
