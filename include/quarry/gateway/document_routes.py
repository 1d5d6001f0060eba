"""PUT, GET and DELETE /v1/documents/{doc_id}."""

import base64
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Query

from include.quarry.catalog.log import Accepted
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.feeds.keys import document_key
from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import AcceptedChange, Document, Name, PutDocument
from include.quarry.gateway.visit import Visit
from include.quarry.records import DocumentKey, RawDocument

Corpus = Annotated[Name, Query(description="corpus of the document")]


class Documents(Protocol):
    """Whatever accepts documents: the indexing deployment, behind a handle or not."""

    async def put(self, raw: RawDocument) -> Accepted:
        """Accept an upsert; raises `InvalidInput`."""
        ...

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        """The document's fields, or None."""
        ...

    async def delete(self, key: DocumentKey) -> Accepted | None:
        """Accept a delete; None when there was never such a document."""
        ...


def document_routes(documents: Documents, door: Door) -> APIRouter:
    """The routes over whatever accepts documents."""
    router = APIRouter(prefix="/v1/documents", tags=["documents"])
    reads, writes = Depends(door.admits("retrieve")), Depends(door.admits("write"))

    @router.put("/{doc_id:path}", status_code=202, summary="Accept a new or changed document")
    async def put_document(doc_id: str, body: PutDocument, visit: Annotated[Visit, writes]) -> AcceptedChange:
        key = document_key(body.corpus, visit.caller.tenant, doc_id)
        raw = RawDocument(
            key=key,
            uri=body.uri or f"quarry://{key.corpus}/{key.doc_id}",
            content=_content(body),
            content_type=body.content_type or "text/plain",
            title=body.title,
            metadata=body.metadata,
        )
        async with door.room_for(visit, key):
            return _accepted(await documents.put(raw), key, visit)

    @router.get("/{doc_id:path}", summary="The document as it was accepted last")
    async def get_document(doc_id: str, visit: Annotated[Visit, reads], corpus: Corpus = "main") -> Document:
        visit.notes.note(corpus=corpus)
        found = await documents.get(document_key(corpus, visit.caller.tenant, doc_id))
        if found is None:
            raise _no_document(doc_id, corpus)
        visit.notes.note(documents=[found["doc_id"]])
        return Document(**found)

    @router.delete("/{doc_id:path}", status_code=202, summary="Delete a document")
    async def delete_document(doc_id: str, visit: Annotated[Visit, writes], corpus: Corpus = "main") -> AcceptedChange:
        visit.notes.note(corpus=corpus)
        key = document_key(corpus, visit.caller.tenant, doc_id)
        accepted = await documents.delete(key)
        if accepted is None:
            raise _no_document(doc_id, corpus)
        return _accepted(accepted, key, visit)

    return router


def _content(body: PutDocument) -> bytes:
    if body.text is not None:
        try:
            return body.text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"text holds a lone surrogate at {error.start}; send whole characters") from error
    try:
        return base64.b64decode(body.content or "", validate=True)
    except ValueError as error:
        raise InvalidInput(f"content is not base64 ({error}); encode the bytes of the document with base64") from error


def _accepted(accepted: Accepted, key: DocumentKey, visit: Visit) -> AcceptedChange:
    visit.notes.note(corpus=key.corpus, seq=accepted.seq, doc_version=accepted.doc_version, changed=accepted.changed)
    return AcceptedChange(seq=accepted.seq, doc_version=accepted.doc_version, changed=accepted.changed)


def _no_document(doc_id: str, corpus: str) -> NotFound:
    return NotFound(f"no document {doc_id!r} in corpus {corpus!r} for this tenant; PUT it first")
