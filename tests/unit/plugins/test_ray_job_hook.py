from pathlib import Path

import pytest
from ray_job_hook import RayJob, RayJobHook, find_token

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from tests.dags.fake_ray import FakeJob, FakeRay


@pytest.fixture
def hook(fake_ray: FakeRay) -> RayJobHook:
    return RayJobHook(fake_ray.address, timeout_s=5)


def test_a_submitted_job_carries_what_ray_needs(hook: RayJobHook, fake_ray: FakeRay) -> None:
    hook.submit("a.1", "python work.py", metadata={"dag_id": "a"}, num_cpus=0.5, memory_bytes=10, runtime_env={})
    assert fake_ray.jobs["a.1"].request == {
        "submission_id": "a.1",
        "entrypoint": "python work.py",
        "runtime_env": {},
        "metadata": {"dag_id": "a"},
        "entrypoint_num_cpus": 0.5,
        "entrypoint_memory": 10,
    }
    assert hook.find("a.1") == RayJob("a.1", "SUCCEEDED", "")
    assert hook.logs("a.1") == "did the work\n"


def test_submitting_the_same_id_twice_starts_one_job(hook: RayJobHook, fake_ray: FakeRay) -> None:
    started: list[FakeJob] = []
    fake_ray.on_submit = started.append
    hook.submit("a.1", "python work.py")
    hook.submit("a.1", "python work.py")
    assert len(started) == 1


def test_a_lost_answer_does_not_hide_that_the_job_was_accepted(hook: RayJobHook, fake_ray: FakeRay) -> None:
    fake_ray.lose_next_answer_to_submit = True
    hook.submit("a.1", "python work.py")
    assert list(fake_ray.jobs) == ["a.1"]


def test_a_refused_job_says_why(hook: RayJobHook, fake_ray: FakeRay) -> None:
    fake_ray.answer_next = [400]
    with pytest.raises(InvalidInput, match=r"'a.1' \(400\): RuntimeError: not now"):
        hook.submit("a.1", "")


def test_an_unknown_job_is_none_and_has_no_logs(hook: RayJobHook) -> None:
    assert hook.find("a.1") is None
    assert hook.logs("a.1") == ""
    assert hook.stop("a.1") is False


def test_stopping_says_whether_the_job_was_running(hook: RayJobHook, fake_ray: FakeRay) -> None:
    fake_ray.add("a.1", "RUNNING")
    assert hook.stop("a.1") is True
    assert hook.stop("a.1") is False
    assert fake_ray.jobs["a.1"].status == "STOPPED"


@pytest.mark.parametrize("status", [0, 500, 503])
def test_an_outage_is_unavailable_with_the_address_or_the_reason(
    hook: RayJobHook, fake_ray: FakeRay, status: int
) -> None:
    fake_ray.answer_next = [status]
    with pytest.raises(Unavailable, match="does not answer" if status == 0 else "not now"):
        hook.find("a.1")


def test_a_token_travels_as_bearer() -> None:
    assert RayJobHook("http://x", token="secret")._client.headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in RayJobHook("http://x", token="")._client.headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_told_apart_from_an_outage(hook: RayJobHook, fake_ray: FakeRay, status: int) -> None:
    for ask in (lambda: hook.find("a.1"), lambda: hook.submit("a.1", "echo")):
        fake_ray.answer_next = [status]
        with pytest.raises(Misconfigured, match="RAY_AUTH_TOKEN"):
            ask()


def test_the_token_is_found_where_ray_looks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_token() == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of the home\n")
    assert find_token() == "of the home"
    (tmp_path / "elsewhere").write_text("of the path")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert find_token() == "of the path"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the variable")
    assert find_token() == "of the variable"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert find_token() == ""
