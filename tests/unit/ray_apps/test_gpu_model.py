"""The deep tier's model on GPUs: what the production configuration says, Ray's own models accept, without vLLM."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
from ray.serve.schema import ServeDeploySchema

CONFIG = Path(__file__).parents[3] / "ray_apps" / "config" / "serve.production.yaml"


@pytest.fixture(scope="module")
def model() -> dict[str, object]:
    document = ServeDeploySchema.model_validate(yaml.safe_load(CONFIG.read_text()))
    (application,) = (each for each in document.applications if each.name == "llm")
    assert (application.route_prefix, application.import_path) == ("/llm", "ray.serve.llm:build_openai_app")
    (found,) = application.args["llm_configs"]
    return dict(found)


def test_ray_accepts_the_models_configuration(model: dict[str, object]) -> None:
    config = LLMConfig.model_validate(model)
    assert config.model_id == "qwen2.5-7b"


def test_ray_refuses_what_it_does_not_know(model: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="nonsense"):
        LLMConfig.model_validate(model | {"nonsense": 1})
