"""A person's word: asked for only where the run wants it, and a no takes the version off its way."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.dags.airflow_home import prepare_home

prepare_home()

from airflow.providers.standard.operators import hitl  # noqa: E402 - Airflow reads its home when it is imported
from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: E402
from approval import VersionApproval  # noqa: E402


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    versions: list[str] = []
    monkeypatch.setattr(
        "include.quarry.routing.promotion.refuse", lambda version_id, reason, settings: versions.append(version_id)
    )
    return versions


def approval() -> VersionApproval:
    return VersionApproval(task_id="approve", version_id="main-1", subject="Let it answer?")


def context(*, wanted: bool) -> Any:
    return {"params": {"approval": wanted}, "task_instance": SimpleNamespace(id="1")}


def test_a_run_that_asks_for_no_approval_goes_on_at_once() -> None:
    assert approval().execute(context(wanted=False)) is None


def test_a_run_that_asks_for_approval_waits_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: asked.append(detail))
    with pytest.raises(TaskAwaitingInput):
        approval().execute(context(wanted=True))
    (question,) = asked
    assert (question["subject"], question["defaults"]) == ("Let it answer?", ["Reject"])


@pytest.mark.parametrize(("answer", "expected"), [("Approve", []), ("Reject", ["main-1"])])
def test_a_no_refuses_the_version_and_a_yes_does_not(
    refused: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, expected: list[str]
) -> None:
    monkeypatch.setattr(hitl.ApprovalOperator, "execute_complete", lambda self, context, event: event)
    approval().execute_complete(context(wanted=True), {"chosen_options": [answer]})
    assert refused == expected
