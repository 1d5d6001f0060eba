"""MLflow's registries hold what the catalog says of releases, however often they are told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.server.handlers import _validate_artifact_uri_scheme, _validate_source_run

from evaluation.registries import Holdings, hold, log_release, model_name, prompt_name
from evaluation.release_record import ReleaseRecord
from evaluation.tracking import GATE_EXPERIMENT, connect
from include.quarry.catalog.generation_routes import ReleaseRoute
from include.quarry.catalog.releases import Release
from include.quarry.generation.prompt import PromptTemplate
from include.quarry.generation.protocol import DEFAULT_RELEASE

from .test_release_gate import ALIKE, LIVE, MUTE


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    client = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment(GATE_EXPERIMENT, artifact_location=str(tmp_path / "artifacts"))
    return client


def release(release_id: str, template: str, model: str = "small") -> Release:
    version, now = PromptTemplate.parse(template).version, datetime.now(UTC)
    return Release(release_id, "fast", model, version, template, "created", None, now, "")


DEFAULT, BRIEF, LARGE = release(DEFAULT_RELEASE, MUTE), release("brief", ALIKE), release("large", ALIKE, "large")


def aliases(client: MlflowClient) -> dict[str, tuple[str, str]]:
    """The prompt and the model that each alias stands for."""
    found = {}
    for alias, number in client.get_registered_model(model_name("fast")).aliases.items():
        prompt = client.get_prompt_version_by_alias(prompt_name("fast"), alias)
        model = client.get_model_version(model_name("fast"), number)
        found[alias] = (prompt.tags["prompt_version"], model.tags["model"])
    return found


def test_each_prompt_and_each_model_is_a_version_and_aliases_follow_the_route(client: MlflowClient) -> None:
    releases = (DEFAULT, BRIEF, LARGE)
    tried = ReleaseRoute("fast", canary_release="large", canary_share=0.1, revision=1)
    for _ in range(2):  # telling them twice changes nothing
        hold(client, [Holdings(tried, releases)])
    assert aliases(client) == {"live": (DEFAULT.prompt_version, "small"), "canary": (BRIEF.prompt_version, "large")}
    assert len(client.search_prompt_versions(prompt_name("fast"))) == 2
    assert len(client.search_model_versions(f"name = '{model_name('fast')}'")) == 2

    hold(client, [Holdings(ReleaseRoute("fast", "large", DEFAULT_RELEASE, revision=2), releases)])
    assert aliases(client) == {"live": (BRIEF.prompt_version, "large")}
    hold(client, [Holdings(ReleaseRoute("fast", DEFAULT_RELEASE, revision=3), releases)])
    assert aliases(client) == {"live": (DEFAULT.prompt_version, "small")}


def test_a_server_takes_what_its_store_takes(client: MlflowClient) -> None:
    """It checks where a model is from, and the store by itself does not."""
    hold(client, [Holdings(ReleaseRoute("fast"), (DEFAULT,))])
    (version,) = client.search_model_versions(f"name = '{model_name('fast')}'")
    _validate_artifact_uri_scheme(version.source, "source")
    _validate_source_run(version.source, "")


def test_mlflow_shows_the_prompt_as_messages_with_its_variables(client: MlflowClient) -> None:
    hold(client, [Holdings(ReleaseRoute("fast"), (DEFAULT,))])
    prompt = client.get_prompt_version_by_alias(prompt_name("fast"), "live")
    assert prompt.template[0] == {"role": "system", "content": "Say nothing."}
    assert prompt.variables == {"passages", "question"}


def test_a_verdict_about_a_release_is_a_run_with_both_sides(client: MlflowClient) -> None:
    fields = {"suite": "s", "tier": "fast", "candidate": "brief", "against": "default", "outcome": "pass"}
    sides = {"live_run": LIVE, "candidate_run": LIVE}
    record = ReleaseRecord(**fields, **sides, started_at=datetime.now(UTC), reasons=(), checks=())
    run = client.get_run(log_release(client, record))
    assert (run.data.tags["release"], run.data.tags["verdict"]) == ("brief", "pass")
    assert run.data.metrics["live.answerable_grounded"] == run.data.metrics["candidate.answerable_grounded"] == 1.0
