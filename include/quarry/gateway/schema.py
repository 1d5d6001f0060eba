"""The bodies that cross HTTP. Unknown fields are refused; every bound is in the OpenAPI document."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from include.quarry.gateway.caller import Priority
from include.quarry.gateway.min_seq import MinSeq
from include.quarry.generation.protocol import Wanted

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
VersionId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,119}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Printable = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00-\x1f\x7f]*$")]
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000, pattern=r"^[^\x00]*$")
]
Fields = Annotated[dict[Printable, Printable], Field(max_length=32)]


class Body(BaseModel):
    """Root of all request bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PutDocument(Body):
    """A document: either `text`, or base64 `content` with its `content_type`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["content", "content_type"]}]}
    )

    text: str | None = None
    content: str | None = Field(None, description="base64 of the bytes")
    content_type: Printable | None = Field(None, description="default text/plain; required with `content`")
    title: Printable | None = None
    uri: Printable | None = Field(None, description="where the document can be opened; default is its address here")
    metadata: Fields = Field(default_factory=dict)
    corpus: Name = "main"

    @model_validator(mode="after")
    def _one_content(self) -> "PutDocument":
        if (self.text is None) == (self.content is None):
            raise ValueError("send either text or content, and not both")
        if self.content is not None and self.content_type is None:
            raise ValueError("content needs a content_type, for example application/pdf")
        return self


class AcceptedChange(BaseModel):
    """The change is in the log: nothing can lose it now. It is searchable when the watermark reaches `seq`."""

    seq: int
    doc_version: int
    changed: bool = Field(description="false when the document already had this very content")


class Document(BaseModel):
    """A document as the catalog holds it. `start` and `end` of hits and citations are offsets into `text`."""

    doc_id: str
    corpus: str
    tenant: str
    uri: str
    title: str
    content_type: str
    metadata: dict[str, str]
    text: str
    seq: int
    doc_version: int
    accepted_at: datetime


class Retrieve(Body):
    """A query over one corpus; filters are equality on metadata fields, `doc_id` or `uri`. The tenant is the token's:
    whoever names another one is refused."""

    query: Question
    top_k: int = Field(10, ge=1, le=100)
    filters: Fields = Field(default_factory=dict)
    corpus: Name = "main"
    index_version: VersionId | None = Field(None, description="answer from this version instead of the route's choice")
    min_seq: MinSeq = 0


class FoundPassage(BaseModel):
    """A passage found, `document.text[start:end]`, with its rank in each list that held it."""

    chunk_id: str
    doc_id: str
    title: str
    uri: str
    text: str
    start: int
    end: int
    score: float
    ranks: dict[str, int]


class Retrieved(BaseModel):
    """Passages, best first, all from one index version at one watermark.

    `partial` says that some shards of it were down, those of the numbers in `shards_missing`; better passages may lie
    there.
    """

    hits: list[FoundPassage]
    query_id: str = Field(description="number of this request, for feedback; 32 hex digits")
    index_version: str
    watermark: int
    timings_ms: dict[str, float]
    partial: bool
    shards_missing: list[int]


class Ask(Body):
    """A question to be answered from the corpus."""

    question: Question
    top_k: int = Field(4, ge=1, le=20, description="passages to look at")
    tier: Wanted = Field("auto", description="`auto` chooses by the question, what was found, the plan and the queues")
    max_tokens: int | None = Field(None, ge=1, le=4096, description="longest answer, in the model's tokens")
    priority: Priority | None = Field(None, description="at most the token's own, which is the default")
    stream: bool = Field(False, description="answer with server-sent events")
    filters: Fields = Field(default_factory=dict)
    corpus: Name = "main"
    min_seq: MinSeq = 0


class Cited(BaseModel):
    """Where a marker `[n]` of the answer points: `text`, which is `document.text[start:end]` of one document."""

    marker: int
    chunk_id: str
    doc_id: str
    title: str
    uri: str
    text: str
    start: int
    end: int


class Said(BaseModel):
    """A sentence of an answer, as it is verified. `citations` are those that it is the first to use."""

    text: str
    citations: list[Cited]


class WrittenBy(BaseModel):
    """A release of a tier: what it is called, its model, and the version of its prompt."""

    release_id: str = Field(description="`default` for what the settings say")
    model: str
    prompt_version: str = Field(description="beginning of the SHA-256 of its wording")


class Answered(BaseModel):
    """An answer whose every sentence is supported by what it cites, or one that says that there is none."""

    answer: str
    citations: list[Cited]
    grounded: bool
    tier: str = Field(description="the tier that answered: deep, fast, extractive or none")
    tier_reason: str = Field(description="why this one, and no other")
    release: WrittenBy | None = Field(description="whose words these are; null where no model spoke")
    usage: dict[str, int | float] = Field(description="tokens of all models asked, seconds of their engines")
    cost: float = Field(description="price of the usage, by the installation's table")
    cached: bool = Field(description="whether it was made for an earlier, equal request, and cost nothing now")
    passages: list[FoundPassage] = Field(description="what was found, where nobody had time to answer from it")
    index_version: str
    query_id: str
    timings_ms: dict[str, float]


class Problem(BaseModel):
    """A problem body after RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = Field(default_factory=list, description="one per field that was refused")


class VersionStatus(BaseModel):
    """One index version. `watermark` is that of its newest snapshot."""

    version_id: str
    state: str
    spec: str = Field(description="fingerprint of the index spec")
    watermark: int
    chunks: int
    created_at: datetime


class FeedStatus(BaseModel):
    """One stream: how far it is read, how fast, and how much of what it brought is not searchable yet."""

    feed: str
    offsets: dict[str, str] = Field(description="by partition, as the catalog holds them")
    changes_per_s: float = Field(description="accepted in the last minute")
    lag_changes: int
    lag_seconds: float = Field(description="since the source changed, of the oldest change that is not searchable")
    quarantined: int


class CorpusStatus(BaseModel):
    """Where a corpus stands: what was accepted, what answers, and how far behind the one is of the other."""

    corpus: str
    head: int = Field(description="seq of the newest change")
    documents: int
    chunks: int
    live_version: str | None
    canary_version: str | None
    watermark: int | None = Field(description="seq up to which the answering replica has applied the log")
    lag_changes: int
    lag_seconds: float
    quarantined: int
    quarantine: list[dict[str, str]] = Field(description="the newest of this tenant, with the reason")
    embedded: int = Field(0, description="texts that uploads and streams had embedded")
    reused: int = Field(0, description="passages of changed documents whose vectors were there already")
    skipped: int = Field(0, description="documents that were offered again as they are")
    feeds: list[FeedStatus] = Field(default_factory=list, description="the streams of this corpus")
    versions: list[VersionStatus]


class Because(Body):
    """Why a version or a release is refused or taken back; kept with it."""

    reason: Reason
