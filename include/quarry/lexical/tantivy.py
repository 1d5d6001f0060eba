"""The default lexical index: BM25 by tantivy in the process that answers, as a snapshot plus the tail of the log.

`load` hard-links the snapshot's immutable segments into a scratch folder of its own and goes on writing there, so
new documents share one set of BM25 statistics with the old ones and the snapshot is never touched. (A replaced
document counts in the statistics until tantivy merges its segment; ranks move by less than the words of one document.)

tantivy knows a chunk by its number, a column that a search reads without fetching the document; the chunk_id of each
number stands beside the segments, and goes some time after its chunk.

Concurrency: one writer under a lock; a search takes the searcher of the last commit, which is immutable, and so sees
each document whole, old or new, with the ids that belong to it.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import log
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self, cast

import numpy as np
import tantivy
from tantivy import Occur, Query

from include.quarry.errors import Conflict, Unavailable
from include.quarry.lexical.analysis import analyser
from include.quarry.lexical.numbered_ids import NumberedIds
from include.quarry.records import Chunk, DocumentUpdate, Scope, Scored, WordCounts
from include.quarry.specs import LexicalSpec
from include.quarry.stores.ledger import Ledger, read_placements, write_placements
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import best, check_chunks, check_k, fields

_KIND = "tantivy-index"
_ANALYSER = "quarry"
_WRITER_BYTES = 64_000_000
# The first words of a pasted page say what it is about; each further one costs time and finds more of everything.
_QUERY_TERMS = 64
# BM25 sums float32 term by term, in an order that depends on pruning; equal chunks may differ in the sixth digit.
_DECIMALS = 4
_DEAD_IDS = 4096


class _State(NamedTuple):
    """What a search sees."""

    searcher: tantivy.Searcher
    ids: NumberedIds


class TantivyIndex:
    """BM25 (k1 1.2, b .75, tantivy's own) over `embedding_text`, in a folder that belongs to this instance alone."""

    def __init__(
        self, spec: LexicalSpec, folder: Path, *, held: Ledger | None = None, ids: NumberedIds | None = None
    ) -> None:
        """An empty index in `folder`, which must be empty or absent: else `Conflict`.

        `held` and `ids` say what the segments in `folder` hold already; only `load` passes them.
        """
        if held is None:
            _claim(folder)
        self.spec = spec
        self._folder = folder
        self._ledger = held or Ledger()
        self._tenants = {key.tenant for key, placement in self._ledger.items() if placement.stop}
        self._schema = _schema()
        self._analyser = analyser(spec.language)
        with _on_disk(folder):
            self._index = tantivy.Index(self._schema, path=str(folder))
            self._index.register_tokenizer(_ANALYSER, analyser(spec.language))
            self._index.config_reader("manual")
            self._index.reload()
        self._state = _State(self._index.searcher(), NumberedIds() if ids is None else ids)
        self._writer: tantivy.IndexWriter | None = None  # there is one once there was something to write
        self._writing = Lock()

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        check_chunks(updates)
        with self._writing:
            fresh = self._ledger.newest(updates)
            if not fresh:
                return
            ids = self._state.ids
            chunks = [chunk for update in fresh for chunk in update.chunks]
            first = ids.append([chunk.chunk_id for chunk in chunks])
            documents = [_document(chunk, number) for number, chunk in enumerate(chunks, first)]
            self._tenants = self._tenants | {update.key.tenant for update in fresh if update.chunks}
            with self._own_writer() as writer:
                for update in fresh:
                    writer.delete_documents_by_term("key", _hash(*update.key))
                for document in documents:
                    writer.add_document(document)
                writer.commit()
                self._index.reload()
            for update in fresh:
                self._ledger.place(update, 0)
            searcher = self._index.searcher()
            many_dead = len(ids) - searcher.num_docs > max(_DEAD_IDS, searcher.num_docs)
            self._state = _State(searcher, ids.only(_numbers(searcher)) if many_dead else ids)

    def search(self, query: str, k: int, scope: Scope, counts: WordCounts | None = None) -> list[Scored]:
        check_k(k)
        searcher, ids = self._state
        words = self._words(query)
        if not words or not searcher.num_docs or scope.tenant not in self._tenants:
            return []
        boosts = _boosts(searcher, words, counts) if counts else {}
        scores, addresses = _with_ties(searcher, self._restricted(words, scope, boosts), k)
        return best(ids.of(_column(searcher, "number", addresses)), scores, k)

    def counts(self, query: str) -> WordCounts:
        searcher = self._state.searcher
        return WordCounts(searcher.num_docs, {word: searcher.doc_freq("text", word) for word in self._words(query)})

    def contents(self) -> Iterator[tuple[str, int]]:
        searcher, ids = self._state
        held = _everything(searcher)
        numbers, versions = (_column(searcher, name, held) for name in ("number", "doc_version"))
        yield from zip(ids.of(numbers), versions, strict=True)

    def save(self, folder: Path) -> None:
        """Links the committed segments into a snapshot. Applies wait until running merges and the linking are done."""
        with self._writing, writing(folder, _KIND, {"language": self.spec.language}) as partial:
            with self._own_writer() as writer:
                writer.wait_merging_threads()
            self._writer = None  # it has ended
            with self._own_writer() as writer:
                writer.garbage_collect_files()
                self._index.reload()  # searches here see the merged segments too, and weigh words as the snapshot does
            searcher = self._index.searcher()
            self._state = state = _State(searcher, self._state.ids.only(_numbers(searcher)))
            _link(self._folder, partial / "segments")
            write_placements(partial / "documents.arrow", self._ledger.items())
            state.ids.write(partial)

    @classmethod
    def load(cls, folder: Path, scratch: Path) -> Self:
        """Restores what `save` wrote, in `scratch`. Raises `NotFound`, `IncompleteIndex`, or `Conflict` as above."""
        facts = read_manifest(folder, _KIND)
        _claim(scratch)
        _link(folder / "segments", scratch)
        held = Ledger(read_placements(folder / "documents.arrow"))
        return cls(LexicalSpec(language=facts["language"]), scratch, held=held, ids=NumberedIds.read(folder))

    @contextmanager
    def _own_writer(self) -> Iterator[tantivy.IndexWriter]:
        """The writer, or another one where it has failed: a writer that could not write once takes everything from then
        on without a word, and keeps nothing of it. Raises `Unavailable`."""
        with _on_disk(self._folder):
            writer = self._writer or self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
            self._writer = None
            try:
                yield writer
            except ValueError:
                with suppress(ValueError):
                    writer.wait_merging_threads()  # so that it gives its lock back
                raise
            self._writer = writer

    def _words(self, query: str) -> list[str]:
        """The query's distinct words as they are indexed, in order."""
        return list(dict.fromkeys(self._analyser.analyze(_encodable(query))))[:_QUERY_TERMS]

    def _restricted(self, words: list[str], scope: Scope, boosts: Mapping[str, float]) -> Query:
        """Any of the words, all of the scope. A scope that excludes nothing is left out: tantivy then skips faster.

        Call it after the searcher was taken: a tenant is known before its first document can be found.
        """
        terms = {word: Query.term_query(self._schema, "text", word, "freq") for word in words}
        terms |= {word: Query.boost_query(terms[word], boost) for word, boost in boosts.items()}
        wanted = Query.boolean_query([(Occur.Should, term) for term in terms.values()])
        marks = [_hash("field", *field) for field in scope.filters.items()]
        if self._tenants != {scope.tenant}:
            marks.append(_hash("tenant", scope.tenant))
        if not marks:
            return wanted
        clauses = [
            Query.const_score_query(Query.term_query(self._schema, "scope", mark, "basic"), 0.0) for mark in marks
        ]
        return Query.boolean_query([(Occur.Must, wanted), *((Occur.Must, clause) for clause in clauses)])


def _boosts(searcher: tantivy.Searcher, words: list[str], counts: WordCounts) -> dict[str, float]:
    """What makes the weight of each word that is found here the one that these counts give it."""
    own = {word: searcher.doc_freq("text", word) for word in words}
    return {
        word: _rarity(max(counts.chunks, searcher.num_docs), max(counts.containing.get(word, 0), held))
        / _rarity(max(searcher.num_docs, held), held)
        for word, held in own.items()
        if held
    }


def _rarity(chunks: int, containing: int) -> float:
    """BM25's weight of a word, as tantivy computes it."""
    return log(1 + (max(chunks - containing, 0) + 0.5) / (containing + 0.5))


def _with_ties(searcher: tantivy.Searcher, query: Query, k: int) -> tuple[list[float], list[tantivy.DocAddress]]:
    """Scores and places of the `k` best, and of every further hit that ties with the k-th, so that chunk_id decides."""
    limit = min(k + 8, searcher.num_docs)
    while True:
        hits = searcher.search(query, limit, count=False).hits
        scores: list[float] = np.round([score for score, _ in hits], _DECIMALS).tolist()
        if len(hits) < limit or limit == searcher.num_docs or scores[-1] < scores[k - 1]:
            return scores, [address for _, address in hits]
        limit = min(4 * limit, searcher.num_docs)


def _everything(searcher: tantivy.Searcher) -> list[tantivy.DocAddress]:
    if not searcher.num_docs:
        return []
    return [at for _, at in searcher.search(Query.all_query(), searcher.num_docs, count=False).hits]


def _numbers(searcher: tantivy.Searcher) -> list[int]:
    return _column(searcher, "number", _everything(searcher))


def _column(searcher: tantivy.Searcher, name: str, addresses: list[tantivy.DocAddress]) -> list[int]:
    return cast(list[int], searcher.fast_field_values(name, addresses))


def _document(chunk: Chunk, number: int) -> tantivy.Document:
    scopes = [_hash("tenant", chunk.key.tenant), *(_hash("field", *field) for field in fields(chunk).items())]
    document = tantivy.Document(key=_hash(*chunk.key), scope=scopes, text=_encodable(chunk.passage.embedding_text))
    document.add_integer("number", number)
    document.add_integer("doc_version", chunk.doc_version)
    return document


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("key", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("scope", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("text", tokenizer_name=_ANALYSER, index_option="freq")
    builder.add_integer_field("number", fast=True)
    builder.add_integer_field("doc_version", fast=True)
    return builder.build()


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    """Says in Quarry's words what tantivy says by one kind of error."""
    try:
        yield
    except ValueError as error:
        raise Unavailable(f"the lexical index in {folder} fails ({error}); see that its disk has room") from error


def _claim(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"folder {folder} is in use; give each lexical index an empty scratch folder")
    folder.mkdir(parents=True, exist_ok=True)


def _hash(*parts: str) -> str:
    """A fixed-width term: tantivy drops terms of more than 65,530 bytes without a word."""
    return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _encodable(text: str) -> str:
    """The text with lone surrogates replaced, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _link(source: Path, target: Path) -> None:
    """The same index under another folder: segments are immutable and shared, the two lists of them are copied."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.name.endswith(".lock"):
            continue
        if path.suffix == ".json":
            shutil.copyfile(path, target / path.name)
        else:
            _link_or_copy(path, target / path.name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
