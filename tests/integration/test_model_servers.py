"""The adapters of the deep tier against real servers: BentoML's OpenAI-compatible endpoints, and Triton."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.generation.kserve import KServeModel
from include.quarry.generation.model_files import find_model
from include.quarry.generation.openai_compatible import OpenAICompatibleModel
from include.quarry.generation.protocol import Delta, LanguageModel, Message
from include.quarry.operations.health import wait_until
from tests.conftest import free_port

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "tests" / "servers"
ASK = [Message("system", "You are brief."), Message("user", "Name the capital of France.")]
START_S = 180.0


@contextmanager
def started(command: list[str | Path], folder: Path, ready: str) -> Iterator[None]:
    """A server in a process group of its own, ready once `ready` answers."""
    environment = {
        **os.environ,
        "MODEL_FILE": str(find_model("smollm2-135m", folder)),
        "ENGINE_SOCKET": str(folder / "engine.sock"),
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=SERVERS, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait_until(lambda: answers(process, ready, log), "the model server", START_S, tick=lambda _: None)
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def answers(process: "subprocess.Popen[bytes]", url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-3000:]
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def environment_of(kind: str) -> Path:
    binaries = ROOT / f".venv-{kind}" / "bin"
    if not binaries.exists():
        pytest.skip(f".venv-{kind} is absent; `make model-servers` makes it")
    return binaries


@pytest.fixture(scope="module")
def bentoml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binaries, port = environment_of("bentoml"), free_port()
    serve: list[str | Path] = [binaries / "bentoml", "serve", "bento_service:SmolLM2"]
    serve += ["--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with started(serve, tmp_path_factory.mktemp("bentoml"), f"{url}/readyz"):
        yield url


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binaries, ports = environment_of("triton"), [str(free_port()) for _ in range(3)]
    url = f"http://127.0.0.1:{ports[0]}"
    serve: list[str | Path] = [binaries / "python", "triton_model.py", *ports]
    with started(serve, tmp_path_factory.mktemp("triton"), f"{url}/v2/models/smollm2/ready"):
        yield url


async def collect(model: LanguageModel, max_tokens: int = 16) -> list[Delta]:
    return [delta async for delta in model.stream(ASK, max_tokens=max_tokens)]


async def check(model: LanguageModel) -> None:
    """It streams, answers the question, keeps to the limit, tells the usage, and answers again after a reader left."""
    deltas = await collect(model)
    text, usage = "".join(delta.text for delta in deltas), deltas[-1].usage
    print(model.name, repr(text), usage)
    assert "Paris" in text
    assert len([delta for delta in deltas if delta.text]) > 1
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert 0 < usage.completion_tokens <= 16
    async for _ in model.stream(ASK, max_tokens=200):
        break
    assert "Paris" in "".join(delta.text for delta in await collect(model))


async def test_bentoml_answers_through_the_openai_adapter(bentoml: str) -> None:
    model = OpenAICompatibleModel(f"{bentoml}/v1", model="smollm2", timeout_s=60)
    await check(model)
    await model.close()


async def test_triton_answers_through_the_kserve_adapter(triton: str) -> None:
    model = KServeModel(triton, model="smollm2", timeout_s=60)
    await check(model)
    await model.close()


async def test_triton_says_that_a_model_is_not_there(triton: str) -> None:
    with pytest.raises((Misconfigured, Unavailable)):
        await collect(KServeModel(triton, model="another", timeout_s=60))
