"""What streams the platform reads: a YAML file of feeds, each of a kind, checked before anything is opened."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from include.quarry.errors import Misconfigured
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import STREAM_FEEDS

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Column = Annotated[str, StringConstraints(min_length=1)]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Part(BaseModel):
    """Root of all parts of a feed's description."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Rows(Part):
    """Which columns make a document; see `RowMapping`."""

    key: tuple[Column, ...] = Field(min_length=1)
    text: tuple[Column, ...] = Field(min_length=1)
    tenant: Name = "default"
    tenant_column: str = ""
    title: str = ""
    metadata: tuple[Column, ...] = ()
    content_type: str = "text/plain"
    prefix: str = ""

    def mapping(self, corpus: str) -> RowMapping:
        """The mapping into a corpus."""
        return RowMapping(corpus, **self.model_dump())


class KafkaSpec(Part):
    """A topic. Replicas that read it are one consumer group and share its partitions."""

    kind: Literal["kafka"]
    servers: str = Field(min_length=1)
    topic: str = Field(min_length=1)
    group: str = Field("quarry", min_length=1)
    corpus: Name = "main"
    format: Literal["event", "debezium"] = "event"
    rows: Rows | None = None
    options: dict[str, str] = {}

    @property
    def feed(self) -> str:
        """Name of the feed, as its offsets and documents have it."""
        return f"{STREAM_FEEDS}kafka:{self.group}:{self.topic}"


class PubSubSpec(Part):
    """A subscription with message ordering. All replicas read it; whose turn it is, is Pub/Sub's choice."""

    kind: Literal["pubsub"]
    project: str = Field(min_length=1)
    subscription: str = Field(min_length=1)
    corpus: Name = "main"
    format: Literal["event", "debezium"] = "event"
    rows: Rows | None = None

    @property
    def feed(self) -> str:
        """Name of the feed, as its offsets and documents have it."""
        return f"{STREAM_FEEDS}pubsub:{self.project}:{self.subscription}"


class PostgresSpec(Part):
    """A table. One replica reads it, the others wait for it to end."""

    kind: Literal["postgres"]
    dsn: str = Field(min_length=1, repr=False)
    table: str = Field(min_length=1)
    slot: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "quarry"
    corpus: Name = "main"
    rows: Rows

    @property
    def feed(self) -> str:
        """Name of the feed, as its offsets and documents have it."""
        return f"{STREAM_FEEDS}postgres:{self.slot}:{self.full_table}"

    @property
    def full_table(self) -> str:
        """The table with its schema."""
        return self.table if "." in self.table else f"public.{self.table}"


class FolderSpec(Part):
    """A folder that every replica sees, and looks through all the time; each change is accepted from one of them.

    It is the same feed as one that is read on a schedule: whichever comes first has the change, and either may stop.
    """

    kind: Literal["folder"]
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    corpus: Name = "main"
    tenant: Name = "default"

    @property
    def feed(self) -> str:
        """Name of the feed, as its offsets and documents have it."""
        return FolderFeed(Path(self.path), self.corpus, self.tenant, max_bytes=0).name


FeedSpec = Annotated[KafkaSpec | PubSubSpec | PostgresSpec | FolderSpec, Field(discriminator="kind")]


class FeedSpecs(Part):
    """The whole file."""

    feeds: tuple[FeedSpec, ...] = ()

    @field_validator("feeds")
    @classmethod
    def _slots_differ(cls, feeds: tuple[FeedSpec, ...]) -> tuple[FeedSpec, ...]:
        """A slot has one reader and one table; a server has one slot of a name, whatever the database."""
        tables: dict[tuple[str, str], str] = {}
        for spec in feeds:
            if not isinstance(spec, PostgresSpec):
                continue
            place = _server(spec.dsn), spec.slot
            if place in tables:
                both = f"{tables[place]} and {spec.full_table}"
                raise ValueError(
                    f"{both} have the same slot {spec.slot!r} on one server; give each a `slot` of its own"
                )
            tables[place] = spec.full_table
        return feeds


def load_feed_specs(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[FeedSpec, ...]:
    """The feeds of a file. Raises `Misconfigured` naming the field, or the variable that is not set."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(f"feeds {path} cannot be read: {error}; QUARRY_FEEDS names the file") from error
    try:
        return FeedSpecs.model_validate(_filled(document or {}, environment, path)).feeds
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Misconfigured(f"feeds {path.name}: {wrong}; include/feeds/example.yaml shows how they look") from error


def _server(dsn: str) -> str:
    """The server that is meant. One that is named in two ways counts as two."""
    import psycopg2.extensions  # noqa: PLC0415 - only where a table is read

    try:
        said = psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        return dsn  # whoever connects is told what is wrong with it
    return f"{said.get('host') or said.get('hostaddr') or ''}:{said.get('port') or 5432}".lower()


def _filled(part: Any, environment: Mapping[str, str], path: Path) -> Any:
    """The document with `${NAME}` taken from the environment."""
    if isinstance(part, dict):
        return {name: _filled(value, environment, path) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, environment, path) for value in part]
    if not isinstance(part, str):
        return part

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in environment:
            raise Misconfigured(f"feeds {path.name}: the environment variable {name} is not set")
        return environment[name]

    return _VARIABLE.sub(value, part)
