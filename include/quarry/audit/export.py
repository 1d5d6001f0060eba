"""The audit as one Parquet file: columns to ask questions of, and each record's body and hash to verify it by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from include.quarry.audit.entry import read_fields
from include.quarry.audit.lookup import Wanted, read_all
from include.quarry.catalog.database import Database

_TEXTS = pa.list_(pa.string())
_OF_THE_ROW = ("writer", "number", "at", "tenant", "subject", "action", "status", "query_id", "body", "hash")
_OF_THE_BODY = ("corpus", "index_version", "watermark", "chunks", "documents", "outcome", "tier", "cost")
SCHEMA = pa.schema(
    {
        "writer": pa.string(),
        "number": pa.int64(),
        "at": pa.timestamp("us", tz="UTC"),
        "tenant": pa.string(),
        "subject": pa.string(),
        "action": pa.string(),
        "status": pa.int32(),
        "query_id": pa.string(),
        "corpus": pa.string(),
        "index_version": pa.string(),
        "watermark": pa.int64(),
        "chunks": _TEXTS,
        "documents": _TEXTS,
        "outcome": pa.string(),
        "tier": pa.string(),
        "prompt_tokens": pa.int64(),
        "completion_tokens": pa.int64(),
        "cost": pa.float64(),
        "body": pa.string(),
        "hash": pa.string(),
    }
)


def export_parquet(database: Database, wanted: Wanted, path: Path) -> int:
    """Write the records that are wanted; gives their number. The file is there whole or not at all."""
    draft = path.with_name(f".{path.name}.writing")
    count = 0
    try:
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            for rows in read_all(database, wanted):
                writer.write_table(_table(rows))
                count += len(rows)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _table(rows: Sequence[sa.Row[Any]]) -> pa.Table:
    """The rows; where somebody has spoiled bodies so that they fit no column, those stand in `body` alone."""
    try:
        return pa.Table.from_pylist([_flat(row, read_fields(row.body)) for row in rows], SCHEMA)
    except (pa.ArrowException, AttributeError):
        if len(rows) == 1:
            return pa.Table.from_pylist([_flat(row, {}) for row in rows], SCHEMA)
        return pa.concat_tables(_table([row]) for row in rows)


def _flat(row: sa.Row[Any], body: Mapping[str, Any]) -> dict[str, Any]:
    usage = body.get("usage") or {}
    return {
        **{name: getattr(row, name) for name in _OF_THE_ROW},
        **{name: body.get(name) for name in _OF_THE_BODY},
        **{name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")},
    }
