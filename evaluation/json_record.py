"""What all documents that an evaluation leaves behind have in common."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class RecordPart(BaseModel):
    """A part of a document: it never changes, and other fields than its own are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JsonRecord(RecordPart):
    """A whole document, which a file can hold."""

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
