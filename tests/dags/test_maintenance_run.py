"""`maintain_catalog` from end to end over a real catalog: everything is kept in order, and nothing else changes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.schema import changes, vectors
from include.quarry.catalog.versions import find_version
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import load_settings
from tests.unit.routing.corpus import SPEC, Corpus

_STONES = 12


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    """v1 is live; since then every document has changed, and one is gone. Nothing has to be kept for long."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    for name, value in (("SNAPSHOT_TAIL_CHANGES", "1"), ("LOG_RETENTION_S", "0"), ("UNUSED_VECTOR_GRACE_S", "0")):
        monkeypatch.setenv(f"QUARRY_{name}", value)
    load_settings.cache_clear()
    settings = load_settings()
    migrate(settings.catalog_url)
    corpus = Corpus(Database(settings.catalog_url), settings)
    write_all(corpus, "hard")
    build_version("v1", "main", SPEC, settings)
    promote("v1", settings)
    write_all(corpus, "soft")
    corpus.delete("d0")
    yield corpus
    corpus.database.close()
    load_settings.cache_clear()


@pytest.fixture
def run_maintenance(
    airflow_database, dag_bag, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], SimpleNamespace]:
    """Runs the Dag in this process, each task once."""
    dag = dag_bag.dags["maintain_catalog"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 0)  # the bag is shared with other tests

    def run() -> SimpleNamespace:
        run = dag.test()
        tasks = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
        return SimpleNamespace(state=str(run.state), tasks=tasks)

    return run


def write_all(corpus: Corpus, how: str) -> None:
    for number in range(_STONES):
        corpus.put(f"d{number}", f"Stone {number} is {how}.")
    corpus.embed()


def count(corpus: Corpus, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    with corpus.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0)


def test_a_night_keeps_everything_in_order_and_a_second_one_finds_nothing_to_do(
    run_maintenance: Callable[[], SimpleNamespace], corpus: Corpus
) -> None:
    run = run_maintenance()
    assert run.state == "success", run.tasks
    assert set(run.tasks.values()) == {"success"}
    with corpus.database.read() as connection:
        assert find_version(connection, "v1").watermark == 2 * _STONES + 1
    assert count(corpus, changes) == _STONES
    assert count(corpus, vectors) == _STONES - 1
    assert count(corpus, vectors, vectors.c.inline.is_not(None)) == 0
    assert run_maintenance().state == "success"
    assert (count(corpus, changes), count(corpus, vectors)) == (_STONES, _STONES - 1)
