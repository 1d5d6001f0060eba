"""How the gate decides about a candidate, a version or a release: `gate` in suite.yaml. Every field may be left out."""

from pydantic import BaseModel, ConfigDict, Field


class GatePolicy(BaseModel):
    """Margins and budgets of a candidate, against what is live, and what is enough to doubt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str | None = Field(None, description="what must not get worse; default: the suite's headline")
    margin: float = Field(0.02, ge=0, description="loss of it that is accepted, at the interval's lower bound")
    rounds: int = Field(3, ge=1, description="times each query is asked; its latency is the median")
    max_p50_ratio: float = Field(1.5, gt=0, description="median latency, over the live version's")
    max_p95_ratio: float = Field(2.0, gt=0, description="95th percentile of latency, over the live version's")
    latency_slack_ms: float = Field(2.0, ge=0, description="difference that nobody notices, on top of both ratios")
    max_size_ratio: float = Field(1.5, gt=0, description="bytes of the snapshot, over the live version's")
    max_size_bytes: int | None = Field(None, ge=1, description="bytes of the snapshot")
    audited_chunks: int = Field(64, ge=1, description="chunks whose vectors are computed again")
    min_cosine: float = Field(0.99, ge=-1, le=1, description="of a stored vector to the one computed again")
    max_stale_share: float = Field(0.05, ge=0, le=1, description="judged documents that are gone or have changed")
    max_trained_share: float = Field(0.0, ge=0, le=1, description="judged queries the candidate was tuned on")
    max_split_share: float = Field(0.1, ge=0, le=1, description="queries answered at two places of the log")
    answer_margin: float = Field(0.1, ge=0, description="loss in answers of a release, at each interval's lower bound")
    max_cost_ratio: float = Field(1.5, gt=0, description="price of a release's answers, over the live release's")
    min_answerable: int = Field(30, ge=1, description="questions that can be answered, to judge a release by")
    min_unanswerable: int = Field(15, ge=1, description="questions that cannot be answered, to judge a release by")
