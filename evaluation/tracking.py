"""MLflow's memory of relevance runs. The only module that imports mlflow."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from evaluation.access_report import Inspection
from evaluation.answer_record import TiersRecord
from evaluation.feedback_report import Review
from evaluation.gate import Verdict
from evaluation.gate_record import ChangeRecord, GateRecord
from evaluation.picture import draw, draw_differences
from evaluation.record import RunRecord, read_record
from include.quarry.drift.verdict import Verdict as DriftVerdict
from include.quarry.errors import NotFound, Unavailable

Client = MlflowClient
"""For those who use one and import no mlflow."""
EXPERIMENT = "quarry-relevance"
GATE_EXPERIMENT = "quarry-gates"
TIERS_EXPERIMENT = "quarry-tiers"
DRIFT_EXPERIMENT = "quarry-drift"
FEEDBACK_EXPERIMENT = "quarry-feedback"
AUDIT_EXPERIMENT = "quarry-audit"
_SEAL_NUMBER, _SEAL_HASH = "seal.number", "seal.hash"
RECORD_FILE = "run.json"
GATE_FILE = "gate.json"
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def connect(tracking_uri: str, *, timeout_s: float = 5.0) -> MlflowClient:
    """A client that is known to reach its store. Raises `Unavailable` within seconds if it cannot.

    MLflow by itself would retry for minutes; what the environment already says about that is respected.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    remedy = "start it with `make up`, or add --no-track to go without"
    try:
        if tracking_uri.startswith(("http://", "https://")):
            httpx.get(f"{tracking_uri.rstrip('/')}/health", timeout=timeout_s, trust_env=False).raise_for_status()
        client = MlflowClient(tracking_uri=tracking_uri)
        client.search_experiments(max_results=1)
    except (httpx.HTTPError, MlflowException) as error:
        raise Unavailable(f"MLflow at {tracking_uri} does not answer ({error}); {remedy}") from error
    return client


def log_run(client: MlflowClient, record: RunRecord, verdict: Verdict | None) -> str:
    """Keep the run: parameters, metrics, thresholds, verdict, a table of queries, pictures and the record itself.

    Returns MLflow's run id. Raises `Unavailable` when MLflow stops answering half-way; the run is then left open.
    """
    with kept_run(client, EXPERIMENT, _tags(record, verdict)) as run_id:
        client.log_batch(run_id, metrics=_metrics(record), params=_params(record))
        client.log_table(run_id, _query_table(record), "queries.json")
        client.log_figure(run_id, draw(record), "distribution.png")
        client.log_dict(run_id, record.model_dump(mode="json"), RECORD_FILE)
    return run_id


def log_gate(client: MlflowClient, record: GateRecord) -> str:
    """Keep a verdict about a candidate: its numbers, every query's difference, the worst ones, the picture, the record.

    Returns MLflow's run id. Raises `Unavailable` as `log_run` does.
    """
    tags = {
        "suite": record.suite,
        "corpus": record.corpus,
        "index_version": record.candidate,
        "against": record.against,
        "verdict": record.outcome,
        "verdict.grounds": ", ".join(dict.fromkeys(reason.ground for reason in record.reasons)),
        "verdict.reasons": "; ".join(reason.text for reason in record.reasons),
        "mlflow.runName": f"{record.candidate} {record.outcome}",
    }
    at_ms = int(record.started_at.timestamp() * 1000)
    numbers = {name: value for name, value in record.facts.items() if not isinstance(value, str)}
    params = [Param(name, value) for name, value in record.facts.items() if isinstance(value, str)]
    with kept_run(client, GATE_EXPERIMENT, tags) as run_id:
        if record.comparison:
            comparison = record.comparison
            numbers |= {f"change.{name}": getattr(comparison, name) for name in ("mean", "low", "high", "p_value")}
            params += [Param("metric", comparison.metric), Param("margin", str(comparison.margin))]
            client.log_table(run_id, _change_table(comparison.changes), "differences.json")
            if comparison.worst:
                client.log_table(run_id, _change_table(comparison.worst), "worst.json")
            client.log_figure(run_id, draw_differences(record, comparison), "differences.png")
        for name, run in (("live", record.live_run), ("candidate", record.candidate_run)):
            numbers |= {f"{name}.{each.replace('@', '_at_')}": v for each, v in (run.measures if run else {}).items()}
        client.log_batch(
            run_id, metrics=[Metric(name, value, at_ms, 0) for name, value in numbers.items()], params=params
        )
        client.log_dict(run_id, record.model_dump(mode="json"), GATE_FILE)
    return run_id


def log_drift(client: MlflowClient, verdict: DriftVerdict, tags: Mapping[str, str], paths: Sequence[Path]) -> str:
    """Keep a verdict about a window: each statistic's effect, its adjusted probability, and the report's files.

    Returns MLflow's run id. Raises `Unavailable` as `log_run` does.
    """
    named = {
        "verdict": verdict.outcome,
        "verdict.reasons": "; ".join(verdict.reasons),
        "mlflow.runName": f"{tags['corpus']} {tags['subject']} {verdict.outcome}",
    }
    numbers = {f"{one.name}.effect": one.value for one in verdict.statistics}
    numbers |= {f"{name}.adjusted_p": value for name, value in verdict.adjusted.items()}
    with kept_run(client, DRIFT_EXPERIMENT, {**tags, **named}) as run_id:
        _keep(client, run_id, numbers, paths)
    return run_id


def log_review(client: MlflowClient, review: Review, paths: Sequence[Path]) -> str:
    """Keep a review of what people think: how many were disappointed, of what, and the page.

    Returns MLflow's run id. Raises `Unavailable` as `log_run` does.
    """
    tags = {
        "corpus": review.corpus,
        "since": review.since.isoformat(),
        "until": review.until.isoformat(),
        "mlflow.runName": f"{review.corpus} {review.until:%Y-%m-%d}",
    }
    numbers = {"rated": review.rated, "low": review.low, "subjects": len(review.clusters)}
    numbers |= {f"cause.{cause}": count for cause, count in review.causes.items()}
    with kept_run(client, FEEDBACK_EXPERIMENT, tags) as run_id:
        _keep(client, run_id, numbers, paths)
    return run_id


def log_access(client: MlflowClient, inspection: Inspection, paths: Sequence[Path]) -> str:
    """Keep an inspection of the audit: its seal, for later ones to be held against, its counts and its page.

    Returns MLflow's run id. Raises `Unavailable` as `log_run` does.
    """
    seal = inspection.seal
    tags = {
        _SEAL_NUMBER: str(seal.number),
        _SEAL_HASH: seal.hash,
        "verdict": inspection.outcome,
        "verdict.reasons": "; ".join(inspection.reasons)[:4000],
        "mlflow.runName": f"seal {seal.number} {inspection.outcome}",
    }
    counts = {
        "records": inspection.reads.records,
        "findings": len(inspection.new),
        "odd_reads": len(inspection.odd),
        "verified": seal.records,
    }
    with kept_run(client, AUDIT_EXPERIMENT, tags) as run_id:
        _keep(client, run_id, counts, paths)
    return run_id


def kept_seals(client: MlflowClient) -> dict[int, str]:
    """Hashes of the seals that MLflow has kept, by number: the first that was kept of each counts."""
    return {int(tags[_SEAL_NUMBER]): tags[_SEAL_HASH] for tags in _access_tags(client)}


def reported_seal(client: MlflowClient, before: int) -> int:
    """The newest seal before a number whose report was kept to its end; 0 where there is none."""
    numbers = [int(tags[_SEAL_NUMBER]) for tags in _access_tags(client, "attributes.status = 'FINISHED'")]
    return max((number for number in numbers if number < before), default=0)


def log_tiers(client: MlflowClient, record: TiersRecord) -> list[str]:
    """Keep a comparison of tiers: a run for each way to ask, with the same measures, for MLflow to lay side by side.

    Returns MLflow's run ids. Raises `Unavailable` as `log_run` does.
    """
    at_ms, kept = int(record.started_at.timestamp() * 1000), []
    for run in record.runs:
        name = f"{record.suite} {run.wanted} {record.started_at:%Y-%m-%d %H:%M}"
        tags = {"suite": record.suite, "tier": run.wanted, "mlflow.runName": name}
        params = [Param(f"model.{tier}", model) for tier, model in record.models.items()]
        with kept_run(client, TIERS_EXPERIMENT, tags) as run_id:
            metrics = [Metric(measure, value, at_ms, 0) for measure, value in run.measures.items()]
            client.log_batch(run_id, metrics=metrics, params=params)
            rows = [answer.model_dump(mode="json") for answer in run.answers]
            client.log_table(run_id, {name: [row[name] for row in rows] for name in rows[0]}, "answers.json")
        kept.append(run_id)
    return kept


def fetch_record(client: MlflowClient, run_id: str) -> RunRecord:
    """The record of a run kept earlier. Raises `NotFound` if MLflow has none under this id."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run_id, RECORD_FILE, folder)
        except (MlflowException, OSError) as error:
            raise NotFound(f"{run_id!r} is neither a file nor an evaluation run that MLflow knows ({error})") from error
        return read_record(Path(path))


@contextmanager
def answering() -> Iterator[None]:
    """Raise `Unavailable` when MLflow stops answering inside."""
    try:
        yield
    except MlflowException as error:
        raise _lost(error) from error


def _access_tags(client: MlflowClient, wanted: str = "") -> list[dict[str, str]]:
    """The tags of the newest reports of the audit, the newest first."""
    with answering():
        experiment = client.get_experiment_by_name(AUDIT_EXPERIMENT)
        if experiment is None:
            return []
        runs = client.search_runs(
            [experiment.experiment_id], wanted, order_by=["attributes.start_time DESC"], max_results=1000
        )
    return [run.data.tags for run in runs if _SEAL_NUMBER in run.data.tags]


@contextmanager
def kept_run(client: MlflowClient, experiment: str, tags: dict[str, str]) -> Iterator[str]:
    """A new run, by its id, which ends with the block. Raises `Unavailable` when MLflow stops answering inside."""
    with answering():
        found = client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else client.create_experiment(experiment)
        run_id: str = client.create_run(experiment_id, tags=tags).info.run_id
        yield run_id
        client.set_terminated(run_id)


def _keep(client: MlflowClient, run_id: str, numbers: Mapping[str, float], paths: Sequence[Path]) -> None:
    for name, value in numbers.items():
        client.log_metric(run_id, name, value)
    for path in paths:
        client.log_artifact(run_id, str(path))


def _tags(record: RunRecord, verdict: Verdict | None) -> dict[str, str]:
    tags = {
        "suite": record.suite,
        "corpus": record.corpus,
        "tenant": record.tenant,
        "index_version": ", ".join(record.index_versions),
        "spec": record.spec,
        "mlflow.runName": f"{record.suite} {record.started_at:%Y-%m-%d %H:%M}",
    }
    if verdict:
        tags |= {"verdict": verdict.outcome, "verdict.reasons": "; ".join(map(str, verdict.reasons))}
    return tags


def _metrics(record: RunRecord) -> list[Metric]:
    """MLflow allows no `@` in a metric's name: `ndcg@10` becomes `ndcg_at_10`."""
    at_ms = int(record.started_at.timestamp() * 1000)
    return [Metric(name.replace("@", "_at_"), value, at_ms, 0) for name, value in record.measures.items()]


def _params(record: RunRecord) -> list[Param]:
    plain = {
        "driver": record.driver,
        "top_k": record.top_k,
        "connections": record.connections,
        "watermark": record.watermark,
        "headline": record.headline,
        "queries_judged": len(record.judged),
        "queries_unanswerable": len(record.queries) - len(record.judged),
    }
    for relation, limits in (("at_least", record.thresholds.at_least), ("at_most", record.thresholds.at_most)):
        plain |= {f"threshold.{relation}.{name.replace('@', '_at_')}": limit for name, limit in limits.items()}
    return [Param(name, str(value)) for name, value in plain.items()]


def _query_table(record: RunRecord) -> dict[str, list[object]]:
    """One row per query, with a column per metric; unanswerable queries have none of the scores."""
    table: dict[str, list[object]] = {
        "query_id": [query.query_id for query in record.queries],
        "text": [query.text for query in record.queries],
        "answerable": [query.answerable for query in record.queries],
        "relevant_documents": [query.relevant_documents for query in record.queries],
        "latency_ms": [query.latency_ms for query in record.queries],
        "ranking": [" ".join(query.ranking) for query in record.queries],
    }
    table |= {metric: [query.scores.get(metric) for query in record.queries] for metric in record.metrics}
    return table


def _change_table(changes: Sequence[ChangeRecord]) -> dict[str, list[object]]:
    """One row per query."""
    names = ("query_id", "text", "live", "candidate", "change", "live_ms", "candidate_ms")
    return {name: [getattr(change, name) for change in changes] for name in names}


def _lost(error: MlflowException) -> Unavailable:
    return Unavailable(f"MLflow did not keep the run ({error}); run again, or add --no-track and keep it with --json")
