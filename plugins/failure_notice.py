"""Tells people that a task has failed for good: one structured log line, and one POST to a webhook if there is one."""

import json
import logging

import httpx
from airflow.sdk import Context

from include.quarry.settings import load_settings

_log = logging.getLogger(__name__)
_LONGEST_REASON = 2_000


def notify_failure(context: Context) -> None:
    """An `on_failure_callback`. `QUARRY_FAILURE_WEBHOOK` is any URL that takes JSON with a `text`, as chat tools do.

    A notice that cannot be delivered is logged and forgotten: it must not hide the failure that it is about.
    """
    notice = describe_failure(context)
    _log.error("task failed: %s", json.dumps(notice))
    webhook = load_settings().failure_webhook
    if not webhook:
        return
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it notes every URL that it calls, and this one is a secret
    try:
        httpx.post(webhook, json=notice, timeout=5).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        response = getattr(error, "response", None)  # the message would show the URL, which is a secret of chat tools
        what = type(error).__name__ if response is None else f"status {response.status_code}"
        _log.warning("the failure notice did not reach the webhook: %s", what)


def describe_failure(context: Context) -> dict[str, str]:
    """What a person needs in order to look closer."""
    ti = context["ti"]
    reason = str(context.get("exception") or "no reason given")[:_LONGEST_REASON]
    return {
        "text": f"{ti.dag_id}.{ti.task_id} failed in {ti.run_id}: {reason}",
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "try_number": str(ti.try_number),
        "reason": reason,
        "log_url": str(getattr(ti, "log_url", "")),
    }
