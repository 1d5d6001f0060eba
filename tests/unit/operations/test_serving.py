import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.operations.serving import ServeApi, look_after, serve_document


def test_serve_listens_where_the_settings_say_whatever_the_file_says(tmp_path):
    config = tmp_path / "serve.yaml"
    config.write_text("http_options: {host: 0.0.0.0, port: 1, keep_alive_timeout_s: 7}\napplications: [{name: a}]\n")
    options = serve_document(config, "127.0.0.1", 8123)["http_options"]
    assert options == {"host": "127.0.0.1", "port": 8123, "keep_alive_timeout_s": 7}


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("10.0.0.5", "0.0.0.0"), ("0.0.0.0",) * 2])
def test_replicas_of_a_host_that_others_reach_are_reached_by_loopback_too(host, expected):
    document = serve_document(Path("ray_apps/config/serve.local.yaml").resolve(), host, 8000)
    assert document["http_options"]["host"] == expected


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


@pytest.fixture
def serve():
    """A server with the one resource of Serve's API that is used: `applications`, and what was `deployed`."""

    class Serve(BaseHTTPRequestHandler):
        applications: dict = {}
        deployed: list = []

        def do_GET(self):
            self.respond({"applications": self.applications})

        def do_PUT(self):
            self.deployed.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.respond({})

        def respond(self, document):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Serve.url = f"http://127.0.0.1:{server.server_port}"
        yield Serve
        server.shutdown()


def test_what_is_missing_is_deployed_and_what_is_there_is_left_alone(serve):
    document, api = {"applications": [{"name": "gateway"}]}, ServeApi(serve.url, "token")
    assert look_after(api, document, []) == []
    serve.applications = {"gateway": {"status": "RUNNING"}}
    assert look_after(api, document, []) == []
    assert serve.deployed == [document]


def test_the_keeper_says_once_why_an_application_cannot_run(serve, capsys):
    document, api = {"applications": [{"name": "gateway"}]}, ServeApi(serve.url, "token")
    serve.applications = {"gateway": {"status": "DEPLOY_FAILED", "message": "QUARRY_MODE is production, and ..."}}
    told = look_after(api, document, [])
    look_after(api, document, told)
    assert capsys.readouterr().out.count("gateway is DEPLOY_FAILED: QUARRY_MODE is production") == 1
