"""Readers of the BEIR layout: `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`, as they are found in the wild.

Ids may be numbers, titles may be missing, judgments may be binary or graded, with a header line or without, in BEIR's
three columns or in TREC's four. What cannot be understood is an `InvalidInput` that names the file and the line.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.quarry.errors import InvalidInput, NotFound

Judgments = dict[str, dict[str, int]]
SPLITS_BY_PREFERENCE = ("test", "dev", "validation", "train")


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One document of a judged corpus; `title` is empty where there is none."""

    doc_id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query; `answerable` is None where the file does not say."""

    query_id: str
    text: str
    answerable: bool | None


def read_corpus(path: Path) -> Iterator[CorpusRow]:
    """The documents of `corpus.jsonl`, one at a time. Raises `InvalidInput` on a repeated id."""
    seen: set[str] = set()
    for number, row in _json_lines(path):
        doc_id = _identifier(row, path, number, seen)
        yield CorpusRow(doc_id, _text(row, "title", path, number), _text(row, "text", path, number))


def read_queries(path: Path) -> list[QueryRow]:
    """All queries of `queries.jsonl`, of whatever split. Raises `InvalidInput` on a repeated id or an empty text."""
    seen: set[str] = set()
    queries = []
    for number, row in _json_lines(path):
        query_id = _identifier(row, path, number, seen)
        text = _text(row, "text", path, number).strip()
        if not text:
            raise InvalidInput(f"{path}:{number}: query {query_id!r} has no text; write its `text` or remove the line")
        metadata = row.get("metadata")
        answerable = metadata.get("answerable") if isinstance(metadata, dict) else None
        if answerable not in (None, True, False):
            raise InvalidInput(f"{path}:{number}: metadata.answerable is {answerable!r}; allowed are true and false")
        queries.append(QueryRow(query_id, text, answerable))
    return queries


def choose_qrels(folder: Path, split: str | None) -> Path:
    """The judgments to use: those of `split`, or else the most preferred split present, `test` first."""
    files = {path.stem: path for path in sorted(folder.glob("*.tsv"))}
    if not files:
        raise NotFound(f"{folder} holds no judgments; expected a file such as {folder / 'test.tsv'}")
    if split is None:
        split = next((name for name in SPLITS_BY_PREFERENCE if name in files), None)
        if split is None and len(files) == 1:
            return next(iter(files.values()))
    if split not in files:
        raise NotFound(f"{folder}: split {split!r} is not there; present are {sorted(files)}; name one in suite.yaml")
    return files[split]


def read_qrels(path: Path) -> Judgments:
    """Grades by query and document. Grades below 0, which TREC uses for spam, count as 0.

    A pair judged twice keeps its grade; raises `InvalidInput` where the two grades differ.
    """
    judgments: Judgments = {}
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) == 4:
            del fields[1]
        if len(fields) != 3:
            raise InvalidInput(
                f"{path}:{number}: {line!r} has {len(fields)} columns; allowed are query-id, corpus-id, score"
            )
        query_id, doc_id, score = (field.strip() for field in fields)
        grade = _grade(score)
        if grade is None:
            if number == 1:
                continue
            raise InvalidInput(
                f"{path}:{number}: the score {score!r} is not a number; write 0, or 1 and up if relevant"
            )
        known = judgments.setdefault(query_id, {}).setdefault(doc_id, grade)
        if known != grade:
            raise InvalidInput(
                f"{path}:{number}: document {doc_id!r} has grades {known} and {grade} for query {query_id!r}; keep one"
            )
    if not judgments:
        raise InvalidInput(f"{path} judges nothing; expected lines of query-id, corpus-id and score")
    return judgments


def _grade(score: str) -> int | None:
    """The grade, or None if the field is not a number (as in a header line)."""
    try:
        return max(int(float(score)), 0)
    except (ValueError, OverflowError):
        return None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, from 1; blank ones are left out."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist; a suite in BEIR layout needs it") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); convert it") from error


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from error
        if not isinstance(row, dict):
            raise InvalidInput(f"{path}:{number}: {row!r} is not an object with `_id` and `text`")
        yield number, row


def _identifier(row: dict[str, Any], path: Path, number: int, seen: set[str]) -> str:
    value = row.get("_id", row.get("id"))
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InvalidInput(f"{path}:{number}: `_id` is {value!r}; allowed are a text or a whole number")
    identifier = str(value)
    if identifier in seen:
        raise InvalidInput(f"{path}:{number}: `_id` {identifier!r} was used above; ids must be unique")
    seen.add(identifier)
    return identifier


def _text(row: dict[str, Any], field: str, path: Path, number: int) -> str:
    value = row.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{path}:{number}: `{field}` is {value!r}; a text is expected")
    return value
