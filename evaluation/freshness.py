"""Does the suite still speak of the corpus, and not of what the candidate was tuned on? Each doubt as a sentence."""

import json
from collections.abc import Iterator, Set
from pathlib import Path

import sqlalchemy as sa

from evaluation.corpus_feed import read_documents
from evaluation.judgments import Suite
from include.quarry.catalog.schema import documents
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.records import hash_text

_BATCH = 500
_EXAMPLES = 3


def doubts_about_age(
    connection: sa.Connection, suite: Suite, *, corpus: str, tenant: str, max_share: float
) -> Iterator[str]:
    """Says so when too many of the documents judged relevant are gone from the corpus, or are not what was judged.

    A suite that brings no `corpus.jsonl` knows its documents by id only, so a change of theirs is not seen.
    """
    judged = sorted({doc_id for grades in suite.judgments.values() for doc_id, grade in grades.items() if grade > 0})
    present = _present(connection, corpus, tenant, judged)
    known = _known(suite, corpus, tenant)
    gone = [doc_id for doc_id in judged if doc_id not in present]
    changed = [
        doc_id for doc_id in judged if doc_id in present and known.get(doc_id, present[doc_id]) != present[doc_id]
    ]
    if len(gone) + len(changed) > max_share * len(judged):
        yield (
            f"the suite is older than the corpus: of {len(judged)} documents judged relevant {len(gone)} are gone "
            f"{gone[:_EXAMPLES]} and {len(changed)} have changed {changed[:_EXAMPLES]}; at most {max_share:.0%} may "
            "(gate.max_stale_share in suite.yaml); judge again"
        )


def doubts_about_training(suite: Suite, trained_on: Set[str], *, max_share: float) -> Iterator[str]:
    """Says so when the candidate was tuned on the queries that are to judge it."""
    seen = [query.query_id for query in suite.queries if query.answerable and hash_query(query.text) in trained_on]
    if len(seen) > max_share * len(suite.judgments):
        yield (
            f"the candidate was tuned on {len(seen)} of the {len(suite.judgments)} judged queries {seen[:_EXAMPLES]}; "
            f"at most {max_share:.0%} may be (gate.max_trained_share in suite.yaml); judge by queries it has not seen"
        )


def hash_query(text: str) -> str:
    """How a list of training queries names one: 64 hex digits, whatever its case and spacing."""
    return hash_text(" ".join(text.casefold().split()))


def read_trained_on(path: Path) -> frozenset[str]:
    """The hashes in `{"trained_on": [...]}`. Raises `NotFound`, or `InvalidInput` when it is no such file."""
    try:
        hashes = json.loads(path.read_text(encoding="utf-8"))["trained_on"]
        if not all(isinstance(each, str) and len(each) == len(hash_text("")) for each in hashes):
            raise ValueError("not every entry is a text of 64 hex digits")
        return frozenset(hashes)
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist; it should list the queries that the candidate was tuned on") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f'{path} is not {{"trained_on": [hash, …]}} with the hashes of evaluation.freshness.hash_query ({error!r})'
        ) from error


def _present(connection: sa.Connection, corpus: str, tenant: str, doc_ids: list[str]) -> dict[str, str]:
    """The text hash of each document that is there."""
    d = documents.c
    found: dict[str, str] = {}
    for start in range(0, len(doc_ids), _BATCH):
        of_them = d.doc_id.in_(doc_ids[start : start + _BATCH])
        query = sa.select(d.doc_id, d.text).where(d.corpus == corpus, d.tenant == tenant, ~d.deleted, of_them)
        found |= {row.doc_id: _hash_words(row.text) for row in connection.execute(query)}
    return found


def _known(suite: Suite, corpus: str, tenant: str) -> dict[str, str]:
    """The text hash of each document as the suite's own corpus has it."""
    if suite.corpus_file is None:
        return {}
    rows = read_documents(suite.corpus_file, corpus=corpus, tenant=tenant)
    return {row.key.doc_id: _hash_words(row.content.decode("utf-8", "surrogatepass")) for row in rows}


def _hash_words(text: str) -> str:
    """Over the words alone: parsing may set a space where there was none."""
    return hash_text("".join(text.split()))
