"""A suite: queries, judgments and thresholds, read from a folder in BEIR layout with an optional `suite.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.beir import Judgments, choose_qrels, read_qrels, read_queries
from evaluation.metrics import HEADLINE, METRICS
from evaluation.policy import GatePolicy
from include.quarry.errors import InvalidInput, NotFound

SUITES = Path(__file__).parent / "suites"
MEASURES = (*METRICS, "latency_p50_ms", "latency_p99_ms", "ingestion_documents_per_s")


class Thresholds(BaseModel):
    """What a run must reach: floors for scores and rates, ceilings for latencies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: dict[str, float] = Field(default_factory=dict)
    at_most: dict[str, float] = Field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.at_least or self.at_most)


class SuiteCard(BaseModel):
    """`suite.yaml`: what the folder cannot say by itself. Every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="default: the folder's name")
    description: str = ""
    corpus: str | None = Field(None, description="the live corpus it judges, where it has no corpus.jsonl")
    split: str | None = Field(None, description="which qrels file; default: test")
    headline: str = Field(HEADLINE, description="the metric that carries the SLO")
    min_judged_queries: int = Field(20, ge=1, description="below this the gate refuses to decide")
    thresholds: Thresholds = Thresholds()
    gate: GatePolicy = GatePolicy()

    @property
    def gate_metric(self) -> str:
        """The metric that a candidate is compared by."""
        return self.gate.metric or self.headline


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a suite; an unanswerable one has no relevant document, and says so."""

    query_id: str
    text: str
    answerable: bool


@dataclass(frozen=True, slots=True)
class Suite:
    """Queries, judgments and thresholds. `notes` says what was left out while reading, for the report to repeat."""

    name: str
    folder: Path
    card: SuiteCard
    queries: tuple[Query, ...]
    judgments: Judgments
    notes: tuple[str, ...] = ()

    @property
    def corpus_file(self) -> Path | None:
        """The corpus that comes with the suite, if one does."""
        path = self.folder / "corpus.jsonl"
        return path if path.is_file() else None

    @property
    def corpus(self) -> str:
        """The corpus its queries go to: its own where it brings documents, else the live one it judges."""
        return f"eval-{self.name}" if self.corpus_file else self.card.corpus or "main"


def load_suite(name_or_folder: str, *, suites: Path = SUITES) -> Suite:
    """Read a suite by the name of a shipped one, or by its folder.

    Raises `NotFound` when there is none, `InvalidInput`, naming file and line, when it cannot be understood.
    """
    folder = _find_folder(name_or_folder, suites)
    card = _read_card(folder / "suite.yaml")
    judged = read_qrels(choose_qrels(folder / "qrels", card.split))
    rows = read_queries(folder / "queries.jsonl")
    relevant = {query_id for query_id, grades in judged.items() if any(grades.values())}
    queries: list[Query] = []
    for row in rows:
        if row.answerable is False and row.query_id in relevant:
            raise InvalidInput(
                f"{folder / 'queries.jsonl'}: query {row.query_id!r} is marked unanswerable but has relevant documents "
                "in the qrels; remove the mark or the judgments"
            )
        if row.query_id in judged or row.answerable is False:
            queries.append(Query(row.query_id, row.text, row.query_id in relevant))
    answerable = {query.query_id for query in queries if query.answerable}
    if not answerable:
        raise InvalidInput(f"{folder}: no query of queries.jsonl has a relevant document in the qrels; check the ids")
    judgments = {query_id: grades for query_id, grades in judged.items() if query_id in answerable}
    notes = _notes(unjudged=len(rows) - len(queries), without_text=len(relevant - answerable))
    return Suite(card.name or _slug(folder.name), folder, card, tuple(queries), judgments, notes)


def _find_folder(name_or_folder: str, suites: Path) -> Path:
    shipped = sorted(path.name for path in suites.iterdir() if path.is_dir()) if suites.is_dir() else []
    if name_or_folder in shipped:
        return suites / name_or_folder
    folder = Path(name_or_folder)
    if folder.is_dir():
        return folder.resolve()
    raise NotFound(f"suite {name_or_folder!r} is neither a folder nor shipped; shipped are {shipped}")


def _read_card(path: Path) -> SuiteCard:
    if not path.is_file():
        return SuiteCard()
    try:
        fields: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        card = SuiteCard.model_validate(fields or {})
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidInput(f"{path}: {error}; allowed are {sorted(SuiteCard.model_fields)}") from error
    named = {card.headline, *card.thresholds.at_least, *card.thresholds.at_most}
    if unknown := sorted(named - set(MEASURES)):
        raise InvalidInput(f"{path}: unknown measures {unknown}; allowed are {list(MEASURES)}")
    if card.gate_metric not in METRICS:
        raise InvalidInput(f"{path}: a candidate cannot be compared by {card.gate_metric!r}; allowed are {METRICS}")
    return card


def _notes(*, unjudged: int, without_text: int) -> tuple[str, ...]:
    notes = []
    if unjudged:
        notes.append(f"{unjudged} queries are not judged in this split and were not asked")
    if without_text:
        notes.append(f"{without_text} judged queries are missing from queries.jsonl and could not be asked")
    return tuple(notes)


def _slug(name: str) -> str:
    """A corpus name made from any folder name."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")[:60] or "suite"
