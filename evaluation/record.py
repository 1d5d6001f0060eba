"""The document that a run leaves behind: everything needed to judge it, compare it and draw it again."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from evaluation.json_record import JsonRecord, RecordPart
from evaluation.judgments import Thresholds
from include.quarry.errors import InvalidInput, NotFound

SCHEMA: Literal["quarry-evaluation-run/1"] = "quarry-evaluation-run/1"


class QueryRecord(RecordPart):
    """One query: what it scored (nothing if unanswerable), how long it took, and the first ten documents."""

    query_id: str
    text: str
    answerable: bool
    relevant_documents: int
    latency_ms: float
    scores: dict[str, float]
    ranking: tuple[str, ...]


class Latency(RecordPart):
    """Client-side latency over all queries, at the run's `top_k` and `connections`."""

    p50_ms: float
    p99_ms: float
    mean_ms: float


class Ingestion(RecordPart):
    """How the suite's corpus came in: documents through every step until the index was promoted."""

    documents: int
    seconds: float

    @property
    def documents_per_s(self) -> float:
        return self.documents / self.seconds if self.seconds > 0 else 0.0


class RunRecord(JsonRecord):
    """One run of one suite. `index_versions` has more than one entry if a promotion fell into the run."""

    schema_version: Literal["quarry-evaluation-run/1"] = SCHEMA
    suite: str
    corpus: str
    tenant: str
    driver: str
    top_k: int
    connections: int
    started_at: datetime
    index_versions: tuple[str, ...]
    watermark: int
    spec: str
    headline: str
    min_judged_queries: int
    thresholds: Thresholds
    metrics: dict[str, float]
    latency: Latency
    ingestion: Ingestion | None
    queries: tuple[QueryRecord, ...]
    notes: tuple[str, ...]

    @property
    def judged(self) -> list[QueryRecord]:
        """The queries that the means are over."""
        return [query for query in self.queries if query.answerable]

    @property
    def measures(self) -> dict[str, float]:
        """Every number that a threshold may be set on."""
        measures = dict(self.metrics)
        measures |= {"latency_p50_ms": self.latency.p50_ms, "latency_p99_ms": self.latency.p99_ms}
        if self.ingestion:
            measures["ingestion_documents_per_s"] = self.ingestion.documents_per_s
        return measures

    def latency_ms(self, percentile: float) -> float:
        """A percentile of the queries' latencies."""
        return float(np.percentile([query.latency_ms for query in self.queries], percentile))


def read_record(path: Path) -> RunRecord:
    """The inverse of `write`. Raises `NotFound` or, if it is no such document, `InvalidInput`."""
    try:
        document = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"{path} is not a file; `python -m evaluation run --json {path}` writes one") from error
    try:
        return RunRecord.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise InvalidInput(f"{path} is not a run of schema {SCHEMA}: {where}: {first['msg']}") from error
