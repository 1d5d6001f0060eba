from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dags.airflow_home import ROOT, migrate, prepare_home
from tests.dags.fake_ray import FakeRay

prepare_home()


@pytest.fixture(scope="session")
def airflow_database() -> None:
    migrate()


@pytest.fixture(scope="session")
def dag_bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(ROOT / "dags", bundle_path=ROOT / "dags", bundle_name="dags-folder")


@pytest.fixture
def fake_ray() -> Iterator[FakeRay]:
    with FakeRay() as ray:
        yield ray


@pytest.fixture
def settings_of_fakes(fake_ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tasks that read the settings find the fake Ray and a home of their own."""
    from include.quarry.settings import load_settings

    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    monkeypatch.setenv("QUARRY_RAY_PORT", str(fake_ray.port))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
