from collections.abc import Iterator

import pytest

from tests.dags.airflow_home import prepare_home
from tests.dags.fake_ray import FakeRay

prepare_home()


@pytest.fixture
def fake_ray() -> Iterator[FakeRay]:
    with FakeRay() as ray:
        yield ray
