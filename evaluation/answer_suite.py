"""Questions with the passages to answer them from, and with gold answers: a BEIR folder that has `answers.jsonl`.

An answerable question gets its judged passage among the nearest others. An unanswerable one is a question of the same
suite with the nearest passages of other documents, so that it looks answerable and is not.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.beir import CorpusRow, QueryRow, choose_qrels, read_corpus, read_qrels, read_queries
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.generation.evidence import read_evidence
from include.quarry.generation.relevance import passage_words, question_words
from include.quarry.records import Chunk, DocumentKey, Hit, Passage

PASSAGES = 4


@dataclass(frozen=True, slots=True)
class Case:
    """A question and what is found for it. `gold` are the spellings of the right answer; empty where there is none."""

    query_id: str
    question: str
    hits: tuple[Hit, ...]
    gold: tuple[str, ...]


def load_cases(folder: Path, *, answerable: int, unanswerable: int) -> list[Case]:
    """As many cases of either kind, evenly out of the whole suite. Raises `NotFound` and `InvalidInput`."""
    gold = _read_answers(folder / "answers.jsonl")
    judged = read_qrels(choose_qrels(folder / "qrels", None))
    queries = [query for query in read_queries(folder / "queries.jsonl") if gold.get(query.query_id)]
    shelf = _Shelf(read_corpus(folder / "corpus.jsonl"))
    cases = []
    for query in _evenly(queries, answerable):
        right = max(judged[query.query_id], key=judged[query.query_id].__getitem__)
        found = shelf.nearest(query.text, lambda _: True)
        hits = found if right in found else [*found[:-1], right]
        cases.append(Case(query.query_id, query.text, shelf.hits(hits), gold[query.query_id]))
    for query in _evenly(queries, unanswerable):
        titles = {shelf.rows[doc_id].title for doc_id in judged[query.query_id]}
        found = shelf.nearest(query.text, lambda row, own=titles: row.title not in own)  # type: ignore[misc]
        cases.append(Case(f"{query.query_id} elsewhere", query.text, shelf.hits(found), ()))
    return cases


class _Shelf:
    """The suite's documents, each one passage, and which of them share rare words with a question."""

    def __init__(self, rows: Iterable[CorpusRow]) -> None:
        self.rows = {row.doc_id: row for row in rows}
        self._hits = {row.doc_id: _hit(row) for row in self.rows.values()}
        self._stems = {
            doc_id: {word.stem for word in passage_words(read_evidence([hit])[0])} for doc_id, hit in self._hits.items()
        }
        counts = Counter(stem for stems in self._stems.values() for stem in stems)
        self._rarity = {stem: math.log(1 + len(self._stems) / count) for stem, count in counts.items()}

    def nearest(self, question: str, among: Callable[[CorpusRow], bool]) -> list[str]:
        asked = {word.stem for word in question_words(question)}
        pool = [doc_id for doc_id, row in self.rows.items() if among(row)]
        pool.sort(key=lambda doc_id: -sum(self._rarity[stem] for stem in asked & self._stems[doc_id]))
        return pool[:PASSAGES]

    def hits(self, doc_ids: Sequence[str]) -> tuple[Hit, ...]:
        return tuple(self._hits[doc_id] for doc_id in doc_ids)


def _hit(row: CorpusRow) -> Hit:
    passage = Passage(row.text, "", 0, len(row.text), 0)
    key = DocumentKey("evaluation", "evaluation", row.doc_id)
    return Hit(Chunk(row.doc_id, key, 1, 0, f"suite:{row.doc_id}", row.title, passage, {}), 1.0, {})


def _evenly(items: Sequence[QueryRow], count: int) -> list[QueryRow]:
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _read_answers(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        raise NotFound(f"{path} is not there; a suite for answers needs lines of {{_id, answers}} beside its queries")
    answers = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            answers[str(row["_id"])] = tuple(str(answer) for answer in row["answers"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path}:{number}: not an object of _id and a list of answers ({error!r})") from error
    return answers
