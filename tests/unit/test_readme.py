"""The README tells the truth: what it names exists, and what it shows can be sent as it stands."""

import json
import re
import shlex
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from include.quarry.gateway.schema import Ask, PutDocument, Retrieve
from include.quarry.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHELL = "\n".join(re.findall(r"```(?:bash)?\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
BODIES: dict[str, type[BaseModel]] = {"documents": PutDocument, "retrieve": Retrieve, "answer": Ask}


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"`?make (?:-s )?([a-z-]+)", README))
    assert named
    assert named <= targets


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:dags|include|evaluation|ray_apps|tests|plugins)/[^`]*)`", README)))
)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_dag_is_described() -> None:
    described = set(re.findall(r"(?m)^\| `([a-z_]+)` \|", README.split("## What runs when")[1].split("##")[0]))
    assert described == {path.stem for path in (ROOT / "dags").glob("*.py")}


def test_every_setting_exists_with_the_default_it_shows() -> None:
    named = set(re.findall(r"`QUARRY_([A-Z_]+)`", README))
    assert named
    assert {name.lower() for name in named} <= Settings.model_fields.keys()
    ports = [Settings.model_fields[f"{part}_port"].default for part in ("http", "airflow", "ray", "mlflow")]
    assert ", ".join(map(str, ports)) in README


@pytest.mark.parametrize("line", [line for line in SHELL.splitlines() if line.startswith("curl")])
def test_every_curl_is_a_request_that_the_api_knows(line: str) -> None:
    words = shlex.split(line, comments=True)
    url = httpx.URL(
        next(word for word in words if word.startswith("localhost")).replace("localhost", "http://localhost")
    )
    assert url.path.split("/")[2] in {"documents", "retrieve", "answer", "status", "usage"}
    if "-d" in words:
        body = json.loads(words[words.index("-d") + 1])
        BODIES[url.path.split("/")[2]].model_validate(body)


@pytest.mark.parametrize("line", [line for line in SHELL.splitlines() if "python -m include.quarry" in line])
def test_every_command_of_the_platform_parses(line: str) -> None:
    from include.quarry.__main__ import _parser

    words = ["a-version" if word == "VERSION" else word for word in shlex.split(line, comments=True)]
    assert _parser().parse_args(words[3:]).command


@pytest.mark.parametrize("line", [line for line in SHELL.splitlines() if "python -m evaluation" in line])
def test_every_evaluation_command_is_understood(line: str) -> None:
    from evaluation.command import _parser

    arguments = shlex.split(line, comments=True)[3:]
    assert _parser(Settings()).parse_args(arguments).command
