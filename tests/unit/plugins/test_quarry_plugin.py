from pathlib import Path

import pytest

from include.quarry.settings import Settings
from tests.dags.airflow_home import ROOT


def test_only_the_registration_is_loaded_as_a_plugin() -> None:
    from airflow._shared.module_loading import find_path_from_directory

    assert list(find_path_from_directory(str(ROOT / "plugins"), ".airflowignore")) == [
        str(ROOT / "plugins" / "quarry_plugin.py")
    ]


def test_airflow_loads_the_plugin_without_an_error() -> None:
    from airflow import plugins_manager

    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    assert "quarry" in [plugin.name for plugin in plugins]


def test_the_menu_links_to_the_pages_of_this_installation() -> None:
    from quarry_plugin import list_pages

    links = {page["href"] for page in list_pages(Settings(http_port=1, ray_port=2, mlflow_port=3))}
    assert links == {"http://127.0.0.1:1/docs", "http://127.0.0.1:2/#/jobs", "http://127.0.0.1:3"}


def test_the_alarms_of_topics_find_their_brokers_wherever_airflow_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import Connection
    from quarry_plugin import QuarryPlugin

    from include.quarry.feeds.alarm import alarms
    from include.quarry.settings import load_settings

    feeds = tmp_path / "feeds.yaml"
    feeds.write_text("feeds: [{kind: kafka, servers: 'broker.example:9092', topic: pages}]")
    monkeypatch.setenv("QUARRY_FEEDS", str(feeds))
    (alarm,) = alarms(str(feeds))
    monkeypatch.setenv(f"AIRFLOW_CONN_{alarm.connection.upper()}", "")  # so that it is taken away again
    load_settings.cache_clear()
    QuarryPlugin.on_load()
    load_settings.cache_clear()
    assert Connection.get(alarm.connection).extra_dejson["bootstrap.servers"] == "broker.example:9092"


def test_plugin_files_have_names_that_nothing_else_has() -> None:
    from sys import stdlib_module_names

    stems = {path.stem for path in (ROOT / "plugins").glob("*.py")}
    assert not stems & set(stdlib_module_names)
    assert not stems & {path.stem for path in (ROOT / "dags").glob("*.py")}


@pytest.mark.parametrize("slots", [None, 7])
def test_the_pool_counts_waiting_tasks_and_keeps_the_slots_it_was_given(slots: int | None) -> None:
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from ray_job_pool import RAY_JOBS, ensure_pool

    from tests.dags.airflow_home import migrate

    migrate()
    ensure_pool()
    if slots is not None:
        Pool.create_or_update_pool(RAY_JOBS, slots=slots, description="mine", include_deferred=True)
    ensure_pool()
    with create_session() as session:
        pool = Pool.get_pool(RAY_JOBS, session=session)
        assert pool is not None
        assert (pool.slots, pool.include_deferred) == (slots or 1, True)
        session.delete(pool)
