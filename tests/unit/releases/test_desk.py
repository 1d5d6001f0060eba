"""Releases as people move them: by command or over HTTP, each move whole, and done whether MLflow listens or not."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.quarry.__main__ import main
from include.quarry.catalog.database import Database
from include.quarry.catalog.releases import note_verdict
from include.quarry.errors import Conflict, InvalidInput
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.release_routes import release_routes
from include.quarry.generation.protocol import DEFAULT_RELEASE
from include.quarry.releases import desk as desk_module
from include.quarry.releases.desk import ReleaseDesk
from include.quarry.settings import Settings, load_settings
from tests.door import open_test_door, showing

from .conftest import BRIEF

SILENT = "MLflow at http://127.0.0.1:1 does not answer"


@pytest.fixture
def settings(database: Database, catalog_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=catalog_url, _env_file=None)


@pytest.fixture
def told() -> list[str]:
    """What the registries answer, the last one again and again."""
    return [""]


@pytest.fixture
def desk(settings: Settings, told: list[str]) -> ReleaseDesk:
    return ReleaseDesk(settings, lambda _: told[-1])


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: list[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run `releases …`: exit code, what it printed, what it complained of."""
    monkeypatch.setenv("QUARRY_HOME", str(settings.home))
    monkeypatch.setenv("QUARRY_DATABASE_URL", settings.catalog_url)
    monkeypatch.setattr(desk_module.ReleaseDesk.__init__, "__defaults__", (lambda _: told[-1],))
    load_settings.cache_clear()

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["releases", *words])
        return code, *capsys.readouterr()

    yield run
    load_settings.cache_clear()


def states(desk: ReleaseDesk) -> dict[str, str]:
    return {view["release_id"]: view["state"] for view in desk.listing("fast")}


def test_by_command_a_prompt_is_created_tried_promoted_and_taken_back(run, tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text(BRIEF)
    created = ("create", "--tier", "fast", "--prompt", str(tmp_path / "brief.md"), "--release-id", "brief", "--json")
    code, printed, _ = run(*created)
    assert (code, json.loads(printed)["model"]) == (0, "smollm2-135m")
    assert run("promote", "brief")[0] == 1  # the gate has not seen it
    assert (
        json.loads(run("canary", "brief", "--share", "0.1", "--unchecked", "--json")[1])["route"]["canary_share"] == 0.1
    )
    assert json.loads(run("promote", "brief", "--unchecked", "--json")[1])["route"]["live_release"] == "brief"
    table = run("list", "--tier", "fast")[1].splitlines()
    assert table[0].split() == ["release", "tier", "state", "share", "model", "prompt", "gate", "created"]
    assert table[1].split()[:4] == ["brief", "fast", "live", "100%"]
    assert table[2].split()[:5] == [DEFAULT_RELEASE, "fast", "retired", "(previous)", "-"]
    assert "Answer briefly." in run("show", "brief")[1]
    back = json.loads(run("rollback", "--tier", "fast", "--reason", "worse", "--json")[1])
    assert back["route"]["live_release"] == DEFAULT_RELEASE


def test_a_move_is_made_and_says_so_when_mlflow_is_down(run, desk: ReleaseDesk, told: list[str]) -> None:
    told.append(SILENT)
    assert run("create", "--tier", "fast", "--release-id", "same")[0] == 0
    code, printed, complained = run("promote", "same", "--unchecked")
    assert code == 0
    assert "live_release" in printed
    assert SILENT in complained
    assert states(desk)["same"] == "live"


def test_what_is_not_given_is_as_the_settings_say(desk: ReleaseDesk) -> None:
    default = desk.listing("fast")[-1]
    created = desk.create("fast")
    assert (created["model"], created["prompt_version"]) == (default["model"], default["prompt_version"])
    assert created["release_id"].startswith(f"fast-{default['prompt_version']}-")


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"model": "gpt-17"}, r"'gpt-17' is neither one of .* nor the path"),
        ({"template": "no parts"}, "a line '---'"),
        ({"template": "a\n---\n$passages"}, r"\$passages and \$question"),
        ({"template": "a\n---\n$passages $question $tenant"}, "no other"),
        ({"template": "a\n---\n$passages $question costs 5 $"}, r"\$\$"),
        ({"template": f"{'word ' * 400}\n---\n$passages $question"}, "has room for 225"),
    ],
)
def test_an_unknown_model_or_a_prompt_that_is_none_is_refused(desk: ReleaseDesk, what: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        desk.create("fast", **what)
    assert len(desk.listing("fast")) == 1


def test_a_model_that_was_not_fetched_is_said_to_be_so(desk: ReleaseDesk) -> None:
    with pytest.raises(Conflict, match="make deep-model"):
        desk.create("deep")


def test_only_a_pass_of_the_gate_against_the_live_release_opens_the_way(desk: ReleaseDesk, database: Database) -> None:
    for release_id in ("r1", "r2"):
        desk.create("fast", template=BRIEF, release_id=release_id)
        with database.write() as connection:
            note_verdict(connection, release_id, DEFAULT_RELEASE)
    assert desk.canary("r1", 0.05)["route"]["canary_release"] == "r1"
    assert desk.promote("r1")["route"]["live_release"] == "r1"
    with pytest.raises(Conflict, match="against 'r1', which is live"):
        desk.promote("r2")  # it was held against what is not live any more
    assert desk.promote("r2", unchecked=True)["route"]["previous_release"] == "r1"


async def test_the_whole_way_over_http(desk: ReleaseDesk, told: list[str]) -> None:
    door = open_test_door()
    app = build_http_app([release_routes(desk, door)], door, max_document_bytes=10_000)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://quarry", headers=showing())
    body = {"tier": "fast", "template": BRIEF, "release_id": "brief"}
    created = await client.post("/v1/releases", json=body)
    assert (created.status_code, created.json()["state"], created.json()["mlflow"]) == (201, "created", "")
    refused = await client.post("/v1/releases/brief/promote")
    assert (refused.status_code, "evaluation gate" in refused.json()["detail"]) == (409, True)
    tried = await client.post("/v1/releases/brief/canary", json={"share": 0.25, "unchecked": True})
    assert tried.json()["route"]["canary_share"] == 0.25
    told.append(SILENT)
    promoted = (await client.post("/v1/releases/brief/promote", json={"unchecked": True})).json()
    assert (promoted["route"]["live_release"], promoted["mlflow"]) == ("brief", SILENT)
    back = await client.post("/v1/tiers/fast/rollback", json={"reason": "worse"})
    assert back.json()["route"]["live_release"] == DEFAULT_RELEASE
    listed = (await client.get("/v1/releases", params={"tier": "fast"})).json()["releases"]
    assert [(each["release_id"], each["state"], each["reason"]) for each in listed] == [
        ("brief", "retired", "worse"),
        (DEFAULT_RELEASE, "live", ""),
    ]
    assert (await client.get("/v1/releases/brief")).json()["template"].startswith("Answer briefly.")
    assert (await client.post("/v1/releases/brief/refuse", json={"reason": "bad"})).status_code == 200
    for path, wrong in (
        ("/v1/releases", {"tier": "slow"}),
        ("/v1/releases", {"tier": "fast", "model": ""}),
        ("/v1/releases/brief/canary", {"share": 2}),
        ("/v1/releases/brief/canary", {}),
        ("/v1/tiers/slow/rollback", {"reason": "x"}),
    ):
        assert (await client.post(path, json=wrong)).status_code == 422, (path, wrong)
    assert (await client.get("/v1/releases/nope")).status_code == 404


async def test_only_administrators_see_and_move_releases(desk: ReleaseDesk) -> None:
    door = open_test_door()
    app = build_http_app([release_routes(desk, door)], door, max_document_bytes=10_000)
    headers = showing("red", "retrieve", "answer", "write", "feedback")
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://quarry", headers=headers)
    assert (await client.get("/v1/releases")).status_code == 403
    assert (await client.post("/v1/releases/x/promote")).status_code == 403
