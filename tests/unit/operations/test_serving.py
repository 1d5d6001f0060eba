from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.operations.serving import ServeApi, serve_document


def test_serve_listens_where_the_settings_say_whatever_the_file_says(tmp_path):
    config = tmp_path / "serve.yaml"
    config.write_text("http_options: {host: 0.0.0.0, port: 1, keep_alive_timeout_s: 7}\napplications: [{name: a}]\n")
    options = serve_document(config, "127.0.0.1", 8123)["http_options"]
    assert options == {"host": "127.0.0.1", "port": 8123, "keep_alive_timeout_s": 7}


@pytest.mark.parametrize("text", ["", "applications: []", "{", "- a"])
def test_a_configuration_without_applications_is_refused(tmp_path, text):
    config = tmp_path / "serve.yaml"
    config.write_text(text)
    with pytest.raises(Misconfigured, match=r"serve\.yaml"):
        serve_document(config, "127.0.0.1", 8000)


def test_a_missing_configuration_names_its_setting():
    with pytest.raises(Misconfigured, match="QUARRY_SERVE_CONFIG"):
        serve_document(Path("/nowhere.yaml"), "127.0.0.1", 8000)


def test_the_shipped_configurations_are_readable():
    for name in ("local", "production"):
        assert serve_document(Path(f"ray_apps/config/serve.{name}.yaml").resolve(), "127.0.0.1", 8000)["applications"]


def test_a_silent_ray_is_unavailable(taken_port):
    with pytest.raises(Unavailable, match="does not answer"):
        ServeApi("http://127.0.0.1:9", "token").applications()
