"""The relevance table of the newest evaluation, as MLflow remembers it."""

from typing import Any

import httpx
from rich.table import Table

from include.quarry.errors import NotFound, Unavailable
from include.quarry.operations.progress import console

EXPERIMENT = "quarry-relevance"
_ORDER = ("ndcg_at_10", "p_at_5", "recall_at_10", "recall_at_100", "mrr_at_10", "latency_p50_ms", "latency_p99_ms")


def print_relevance(mlflow_url: str) -> None:
    """Print measures, verdict and the address of the newest run."""
    run = newest_run(mlflow_url)
    measures = {metric["key"]: float(metric["value"]) for metric in run["data"].get("metrics", [])}
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    table = Table("measure", "value", title=f"  relevance on suite {tags.get('suite', '?')}", title_justify="left")
    for name in sorted(measures, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        table.add_row(name.replace("_at_", "@"), f"{measures[name]:.4g}")
    console.print(table)
    info = run["info"]
    console.print(f"  verdict: {tags.get('verdict', 'none')}   {tags.get('verdict.reasons', '')}")
    console.print(f"  {mlflow_url}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}\n")


def newest_run(mlflow_url: str) -> dict[str, Any]:
    """The newest finished run of the experiment. Raises `NotFound`, or `Unavailable`."""
    experiment = _call(mlflow_url, "GET", "experiments/get-by-name", params={"experiment_name": EXPERIMENT})
    body = {
        "experiment_ids": [experiment["experiment"]["experiment_id"]],
        "filter": "attributes.status = 'FINISHED'",
        "order_by": ["attributes.start_time DESC"],
        "max_results": 1,
    }
    runs: list[dict[str, Any]] = _call(mlflow_url, "POST", "runs/search", json=body).get("runs", [])
    if not runs:
        raise NotFound(f"MLflow has no finished run of {EXPERIMENT}; `python -m evaluation run` makes one")
    return runs[0]


def _call(mlflow_url: str, method: str, path: str, **options: Any) -> dict[str, Any]:
    try:
        response = httpx.request(
            method, f"{mlflow_url}/api/2.0/mlflow/{path}", timeout=30, trust_env=False, **options
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"MLflow does not answer {method} {path}: {error}; see `make logs PART=mlflow`") from error
    document: dict[str, Any] = response.json()
    return document
