"""What a document, a tenant and a corpus may be called."""

import re
import unicodedata

from include.quarry.errors import InvalidInput
from include.quarry.records import DocumentKey

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MAX_DOC_ID_CHARS = 512


def document_key(corpus: str, tenant: str, doc_id: str) -> DocumentKey:
    """A checked key. Raises `InvalidInput` saying which part is wrong and what is allowed."""
    return DocumentKey(check_name("corpus", corpus), check_name("tenant", tenant), check_doc_id(doc_id))


def check_name(what: str, name: str) -> str:
    """The name of a corpus or a tenant, if it is one."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{what} {name[:80]!r} is not a name; allowed are 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "the first one a letter or a digit"
        )
    return name


def check_doc_id(doc_id: str) -> str:
    """The document id, if it is one: any printable text without empty, `.` or `..` path segments."""
    segments = doc_id.split("/")
    if not 1 <= len(doc_id) <= _MAX_DOC_ID_CHARS:
        problem = f"it has {len(doc_id)} characters; allowed are 1 to {_MAX_DOC_ID_CHARS}"
    elif any(unicodedata.category(character) in ("Cc", "Cs") for character in doc_id):
        problem = "it holds control characters or lone surrogates; use printable text"
    elif any(segment in ("", ".", "..") for segment in segments):
        problem = "it has an empty, '.' or '..' path segment; use plain segments between single '/'"
    else:
        return doc_id
    raise InvalidInput(f"doc_id {doc_id[:80]!r} is not allowed: {problem}")
