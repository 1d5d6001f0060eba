"""A watched build counts what it is at: documents cut, texts with vectors, documents indexed."""

from include.quarry.catalog.database import Database
from include.quarry.specs import ChunkerSpec, IndexSpec
from include.quarry.versions.watch import BuildProgress
from tests.unit.routing.corpus import SPEC, Corpus


class Counted:
    """A phase that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def count(self, done: int, total: int, unit: str) -> None:
        self.told.append((done, total, unit))


def test_each_part_of_a_build_is_counted_in_its_own_unit(corpus: Corpus) -> None:
    counted = Counted()
    other = IndexSpec(ChunkerSpec(max_tokens=64), SPEC.embedding)
    BuildProgress(corpus.database, "main", other, counted).look()  # type: ignore[arg-type]
    corpus.put("c", "Slate splits.")
    corpus.delete("a")
    progress = BuildProgress(corpus.database, "main", SPEC, counted)  # type: ignore[arg-type]
    progress.look()
    for count in (1, 5):
        progress.applied(count, 10 * count)
        progress.look()
    assert counted.told == [
        (0, 2, "documents cut"),
        (1, 2, "texts have vectors"),
        (1, 2, "documents indexed"),
        (2, 2, "documents indexed"),
    ]


def test_a_watched_block_is_looked_at_while_it_runs_and_never_after(corpus: Corpus, monkeypatch) -> None:
    from threading import Event

    from include.quarry.versions import watch

    looked = Event()
    counted = Counted()
    counted.count = lambda *_: looked.set()  # type: ignore[method-assign]
    monkeypatch.setattr(watch, "_LOOK_EVERY_S", 0.01)
    progress = BuildProgress(corpus.database, "main", SPEC, counted)  # type: ignore[arg-type]
    with progress.watching():
        assert looked.wait(20)
    looked.clear()
    assert not looked.wait(0.05)


def test_a_catalog_that_is_gone_stops_the_counting_and_not_the_build() -> None:
    counted = Counted()
    progress = BuildProgress(Database("sqlite:////no/such/folder/catalog.db"), "main", SPEC, counted)  # type: ignore[arg-type]
    progress.look()
    assert counted.told == []
