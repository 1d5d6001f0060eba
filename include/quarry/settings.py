"""Every knob of Quarry in one frozen class, read from the environment (prefix `QUARRY_`) and from `.env`.

Only composition roots (a DAG callable, `build_app`, a job's `main`, a command line) call `load_settings`; everything
below them takes plain arguments. `.env.example` lists every field, and a test keeps it so.
"""

from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from include.quarry.cache.protocol import CacheKind
from include.quarry.errors import Misconfigured
from include.quarry.index_specs import read_index_spec
from include.quarry.specs import Dtype, IndexSpec
from include.quarry.stores.servers import StoreServers


class Settings(BaseSettings):
    """Settings of one Quarry installation."""

    model_config = SettingsConfigDict(env_prefix="QUARRY_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path(".quarry"), description="folder that holds all state")
    host: str = Field("127.0.0.1", description="IPv4 address every server binds to")
    http_port: int = Field(8000, ge=1, le=65535, description="HTTP API")
    airflow_port: int = Field(8080, ge=1, le=65535, description="Airflow UI and API")
    ray_port: int = Field(8265, ge=1, le=65535, description="Ray dashboard and job API")
    ray_gcs_port: int = Field(6380, ge=1, le=65535, description="Ray's cluster address")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="MLflow UI and tracking API")
    metrics_port: int = Field(8090, ge=1, le=65535, description="Prometheus metrics of Ray and of Quarry")
    ray_client_port: int = Field(10001, ge=1024, le=65535, description="Ray client server, which cannot be turned off")
    ray_agent_port: int = Field(52365, ge=1, le=65535, description="Ray's agent of this node")
    serve_fallback_port: int = Field(8500, ge=1, le=65535, description="Serve's own proxy, behind the HTTP ingress")
    haproxy_stats_port: int = Field(8404, ge=1, le=65535, description="statistics page of the HTTP ingress")
    haproxy_metrics_port: int = Field(9101, ge=1, le=65535, description="Prometheus metrics of the HTTP ingress")

    http_address: str = Field("", description="URL of the HTTP API where it runs elsewhere; empty means here")
    airflow_address: str = Field("", description="URL of Airflow where it runs elsewhere; empty means here")
    ray_address: str = Field("", description="URL of Ray's job API where it runs elsewhere; empty means here")
    mlflow_address: str = Field("", description="URL of MLflow where it runs elsewhere; empty means here")

    ray_cpus: int = Field(8, ge=1, le=1024, description="logical CPUs that Ray hands out on this machine")
    object_store_bytes: int = Field(512 * 2**20, ge=80 * 2**20, description="memory of Ray's object store, in bytes")
    serve_config: Path = Field(Path("ray_apps/config/serve.local.yaml"), description="what Ray Serve runs")
    start_timeout_s: float = Field(240, gt=0, le=3600, description="how long one part may take to become healthy")
    airflow_retention_s: float = Field(
        7_776_000,
        ge=86_400,
        description="how long Airflow keeps runs that have ended, with their tasks and logs, in seconds; a day or more",
    )

    database_url: str = Field("", description="catalog; empty means SQLite in `home`", repr=False)
    lake_url: str = Field(
        "", description="vector lake, a folder or a pyarrow.fs URI; empty means `home`/lake", repr=False
    )
    milvus_url: str = Field("", description="Milvus server of index specs that name it; may be empty")
    milvus_token: str = Field("", description="token of `milvus_url`, `user:password` too; may be empty", repr=False)
    pinecone_key: str = Field("", description="API key of index specs on Pinecone; may be empty", repr=False)
    pinecone_url: str = Field("", description="Pinecone's control plane; empty means their own")
    pinecone_cloud: str = Field("aws", description="cloud in which Pinecone puts an index")
    pinecone_region: str = Field("us-east-1", description="region in which Pinecone puts an index")
    redis_url: str = Field(
        "", description="Redis of limits and caches, redis://HOST:PORT/NUMBER; empty means in process", repr=False
    )
    memcached_url: str = Field(
        "", description="Memcached of caches, HOST:PORT; needed where `cache` says memcached", repr=False
    )
    store_timeout_s: float = Field(10, gt=0, le=600, description="how long a vector server may take to answer")
    page_examples: str = Field(
        "What does tenacity do?|Which packages parse HTML?|How can I retry a request that failed?",
        description="questions that the page at / offers to begin with, with | between them; may be empty",
    )
    docs: str = Field("environment:", description="what is ingested by default: a folder, or `environment:`")

    failure_webhook: str = Field(
        "", description="URL that is told when a task has failed for good; may be empty", repr=False
    )

    mode: Literal["development", "production"] = Field(
        "development", description="whether tokens may be signed with a secret that this installation made up"
    )
    token_secret: str = Field(
        "", description="secret of HS256 tokens, 32 bytes or more; empty means made up in development", repr=False
    )
    token_jwks: str = Field("", description="key set of RS256 and ES256 tokens, a URL or a file; may be empty")
    token_issuer: str = Field("", description="`iss` that tokens must name; empty means `quarry` in development")
    token_audience: str = Field("", description="`aud` that tokens must name; empty means `quarry` in development")
    token: str = Field("", description="token that our own clients show; empty means they sign one", repr=False)
    access_log: Literal["off", "answers", "all"] = Field(
        "answers", description="requests with a line in the access log: none, all but /v1/retrieve, or all"
    )
    request_timeout_s: float = Field(
        120, gt=0, le=3600, description="longest that a request may take, in seconds; callers may ask for less"
    )

    plans: Path = Field(Path("include/plans.yaml"), description="what tenants may ask for, and how often")
    limits_when_down: Literal["open", "closed"] = Field(
        "open", description="while Redis is down: each replica counts for itself, or nothing is admitted"
    )
    audit_required: bool = Field(True, description="whether an answer stays back whose audit record cannot be kept")
    audit_sync: bool = Field(
        False, description="whether a record is on the disk before its answer leaves, against power cuts; slow"
    )
    audit_ship_interval_s: float = Field(
        0.5, gt=0, le=60, description="how often records go from the journals into the catalog, in seconds"
    )
    audit_retention_s: float = Field(
        31_536_000, ge=0, description="how long audit records are kept, in seconds; 0 means for ever"
    )
    query_log_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the queries that are kept with text, hits and answer for feedback, 0 to 1",
    )
    query_log_retention_s: float = Field(
        7_776_000,
        ge=0,
        description="how long a query is kept that nobody rated, in seconds; else four times that",
    )

    cache: CacheKind = Field(
        "memory", description="what keeps results: each process, or also a server that replicas share; off keeps none"
    )
    cache_answers: bool = Field(
        False,
        description="keep answers too; off, so that who asks twice, to compare tiers or models, say, has two answers",
    )
    cache_bytes: int = Field(64 * 2**20, ge=2**20, description="what one process keeps at most, in bytes")
    cache_ttl_s: float = Field(300, ge=1, le=86_400, description="how long a result is kept at most, in seconds")

    embedding_engine: Literal["auto", "openvino", "sentence_transformer"] = Field(
        "auto", description="what computes embeddings; sentence_transformer is torch, auto takes it on CUDA GPUs only"
    )
    embedding_dtype: Dtype = Field("bf16", description="precision where an index spec names none")
    embedding_threads: int = Field(2, ge=1, le=256, description="threads of one embedding engine")
    embedding_node_class: Literal["", "spot", "on-demand"] = Field(
        "", description="nodes that backfills embed on, by their label ray.io/market-type; empty means any"
    )
    spot_patience_s: float = Field(
        600, gt=0, description="how long spot nodes may bring no progress before on-demand ones go on, in seconds"
    )
    node_price_per_hour: dict[str, float] = Field(
        {}, description="price by node class, as JSON, for the cost of a backfill; others are free"
    )

    feeds: str = Field("", description="file of the streams to read, see include/feeds/example.yaml; empty means none")
    freshness_slo_s: float = Field(
        1800,
        gt=0,
        description="how long a change may wait until it is searchable, in seconds, before ingest_documents fails",
    )
    max_document_bytes: int = Field(20_000_000, ge=1, description="largest document accepted, in bytes")
    follow_interval_s: float = Field(0.25, gt=0, le=60, description="how often a replica asks the log for news")
    version_retention_s: float = Field(
        604_800, ge=0, description="how long a version that no longer answers can be gone back to, in seconds"
    )
    snapshot_tail_changes: int = Field(
        1000, ge=1, description="how many changes behind the log a snapshot is renewed by nightly maintenance"
    )
    log_retention_s: float = Field(
        2_592_000,
        ge=0,
        description="how long a change stays in the log that every index version has applied and another one followed, "
        "in seconds; drift looks back a week",
    )
    unused_vector_grace_s: float = Field(
        604_800, ge=0, description="how long a vector stays in the lake that no passage uses any more, in seconds"
    )
    gate_suite: str = Field(
        "auto",
        description="suite of the gate and the nightly evaluation of corpus main: a name, a folder, or empty for none; "
        "`auto` fits the default documents, and is none for others",
    )
    gate_suites: dict[str, str] = Field({}, description="suite of the gate by corpus, for other corpora, as JSON")
    trial_patience_s: float = Field(
        600, gt=0, description="how long enough queries for a verdict on a candidate may take, in seconds"
    )
    canary_timeout_s: float = Field(
        2, gt=0, le=60, description="how long a canary may be silent before the live version answers, in seconds"
    )
    partial_results: Literal["mark", "error"] = Field(
        "error", description="when a shard is down: `error`, or `mark`, an answer that is marked as partial"
    )
    shard_timeout_s: float = Field(2, gt=0, le=60, description="after how many seconds of silence a shard is down")
    bulk_grace_s: float = Field(900, ge=0, description="seconds a bulk change waits for its backfill")

    fast_model: str = Field("smollm2-135m", description="model of the fast tier: a packaged name or a GGUF file")
    deep_model: str = Field(
        "qwen2.5-coder-1.5b",
        description="model of the deep tier: as above, or one of `make deep-model`, or the server's; may be empty",
    )
    openai_url: str = Field("", description="OpenAI-compatible server of the deep tier; may be empty")
    openai_key: str = Field("", description="bearer token for `openai_url`", repr=False)
    fast_slots: int = Field(1, ge=1, le=1024, description="answers that a replica of the fast tier writes at once")
    deep_slots: int = Field(
        1, ge=1, le=1024, description="answers that a replica of the deep tier writes at once: its engine's parallelism"
    )
    tier_places: int = Field(
        12,
        ge=1,
        le=10_000,
        description="requests of each priority that wait for a replica of a tier; more fall to the next",
    )
    answers_at_once: int = Field(
        96, ge=1, le=100_000, description="answers that a gateway replica has in the making; more are refused"
    )
    prices: Path = Field(Path("include/prices.yaml"), description="table of what an answer costs, by tier")
    kserve_url: str = Field("", description="Triton, or another KServe v2 server, of the deep tier; may be empty")
    generation_threads: int = Field(2, ge=1, le=256, description="threads of one model; never above the cores")

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError("write an IPv4 address of this machine, such as 127.0.0.1") from None

    def index_spec(self, choice: str = "default") -> IndexSpec:
        """The index spec that a parameter names: a file of `include/index_specs`, or a JSON object of its parts.

        One that leaves the precision open takes `embedding_dtype`. Raises `Misconfigured`.
        """
        return read_index_spec(choice, dtype=self.embedding_dtype)

    def suite_of_gate(self, corpus: str) -> str:
        """The suite that a new version of the corpus must pass; empty where none fits its documents."""
        if corpus != "main":
            return self.gate_suites.get(corpus, "")
        if self.gate_suite != "auto":
            return self.gate_suite
        return "environment" if self.docs == "environment:" else ""

    @property
    def catalog_url(self) -> str:
        """SQLAlchemy URL of the catalog."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'catalog.db'}"

    @property
    def lake_uri(self) -> str:
        """Root of the vector lake, for pyarrow.fs."""
        return self.lake_url or str(self.home.absolute() / "lake")

    @property
    def store_servers(self) -> StoreServers:
        """The vector servers that index versions may live on."""
        return StoreServers(
            milvus_url=self.milvus_url,
            milvus_token=self.milvus_token,
            pinecone_key=self.pinecone_key,
            pinecone_url=self.pinecone_url,
            pinecone_cloud=self.pinecone_cloud,
            pinecone_region=self.pinecone_region,
            timeout_s=self.store_timeout_s,
        )

    @property
    def models(self) -> Path:
        """Models that were fetched or made here."""
        return self.home.absolute() / "models"

    @property
    def mlflow_url(self) -> str:
        """Tracking address of MLflow."""
        return self.mlflow_address or f"http://{self.host}:{self.mlflow_port}"

    @property
    def ray_url(self) -> str:
        """Address of Ray's job API and dashboard."""
        return self.ray_address or f"http://{self.host}:{self.ray_port}"

    @property
    def http_url(self) -> str:
        """Address of the HTTP API."""
        return self.http_address or f"http://{self.host}:{self.http_port}"

    @property
    def airflow_url(self) -> str:
        """Address of the Airflow UI and API."""
        return self.airflow_address or f"http://{self.host}:{self.airflow_port}"


@cache
def load_settings() -> Settings:
    """The settings of this process, read once. Raises `Misconfigured` naming each variable that cannot be."""
    try:
        return Settings()
    except SettingsError as error:
        raise Misconfigured(f"{error}: write JSON; see .env.example") from error
    except ValidationError as error:
        complaints = [f"QUARRY_{str(at['loc'][0]).upper()}={at['input']}: {at['msg']}" for at in error.errors()]
        raise Misconfigured("\n".join([*complaints, "see .env.example"])) from error
