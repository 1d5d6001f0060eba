"""The floor: the same pipeline written by hand for one process, with nothing that a platform needs.

Same encoder, micro-batches of at most 16, FAISS flat, tantivy with the same analyser, reciprocal rank fusion, FastAPI,
uvicorn. No tenants, filters, updates, versions, limits or metrics. `python -m tests.benchmarks.floor --help` runs it.
"""

import argparse
import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np
import orjson
import tantivy
import uvicorn
from fastapi import FastAPI, Response
from numpy.typing import NDArray
from pydantic import BaseModel

from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.protocol import Embedder
from include.quarry.lexical.analysis import analyser
from include.quarry.records import Chunk, Float32
from include.quarry.settings import Settings
from tests.benchmarks.corpus import read_chunks

BATCH = 16
DEPTH = 100
RANK_CONSTANT = 60


class Query(BaseModel):
    query: str
    top_k: int = 10


class DenseSearch:
    """Encodes and searches whatever arrived while the last batch ran, on one thread."""

    def __init__(self, embedder: Embedder, vectors: Float32) -> None:
        self._embedder = embedder
        self._index: Any = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[tuple[str, asyncio.Future[NDArray[np.int64]]]] = deque()
        self._arrived = asyncio.Event()

    async def find(self, text: str) -> NDArray[np.int64]:
        found: asyncio.Future[NDArray[np.int64]] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, found))
        self._arrived.set()
        return await found

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not self._waiting:
                self._arrived.clear()
            rows = await loop.run_in_executor(self._thread, self._search, [text for text, _ in batch])
            for (_, found), own in zip(batch, rows, strict=True):
                found.set_result(own)

    def _search(self, texts: list[str]) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = self._index.search(self._embedder.encode(texts).values, DEPTH)[1]
        return rows


class WordSearch:
    def __init__(self, chunks: list[Chunk]) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", tokenizer_name="words", index_option="freq")
        builder.add_integer_field("row", fast=True)
        self._schema = builder.build()
        self._analyser = analyser("en")
        index = tantivy.Index(self._schema)
        index.register_tokenizer("words", self._analyser)
        writer = index.writer(num_threads=1)
        for row, chunk in enumerate(chunks):
            document = tantivy.Document(text=chunk.passage.embedding_text)
            document.add_integer("row", row)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def find(self, text: str) -> list[int]:
        words = dict.fromkeys(self._analyser.analyze(text))
        terms = [(tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", word, "freq")) for word in words]
        hits = self._searcher.search(tantivy.Query.boolean_query(terms), DEPTH, count=False).hits
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return cast(list[int], rows)


def fuse(*lists: list[int]) -> list[tuple[int, float]]:
    scores: dict[int, float] = {}
    for rows in lists:
        for rank, row in enumerate(rows, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (RANK_CONSTANT + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


def build_app(chunks: list[Chunk], vectors: Float32, embedder: Embedder) -> FastAPI:
    shown = [
        {"chunk_id": chunk.chunk_id, "doc_id": chunk.key.doc_id, "title": chunk.title, "text": chunk.passage.text}
        for chunk in chunks
    ]
    dense, words, app = DenseSearch(embedder, vectors), WordSearch(chunks), FastAPI()
    tasks: list[asyncio.Task[None]] = []

    @app.post("/v1/retrieve")
    async def retrieve(body: Query) -> Response:
        if not tasks:
            tasks.append(asyncio.create_task(dense.run()))
        rows = await dense.find(body.query)
        fused = fuse(rows.tolist(), words.find(body.query))[: body.top_k]
        hits = [{**shown[row], "score": score} for row, score in fused]
        return Response(orjson.dumps({"hits": hits}), media_type="application/json")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="where the corpus was prepared")
    parser.add_argument("--snapshot", type=Path, required=True, help="snapshot of the index whose chunks are served")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    settings = Settings(home=arguments.home)
    chunks, vectors = read_chunks(arguments.snapshot, settings)
    embedder = load_embedder(
        settings.index_spec().embedding,
        engine=settings.embedding_engine,
        threads=settings.embedding_threads,
        cache=settings.home.absolute() / "models",
    )
    app = build_app(chunks, vectors, embedder)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
