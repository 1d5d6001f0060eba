"""Citations as OpenAI's clients know them: annotations of stretches of the message."""

import re
from collections.abc import Mapping

from include.quarry.gateway.openai_schema import Annotation, UrlCitation
from include.quarry.gateway.schema import Cited

_MARKER = re.compile(r"\[(\d{1,3})\]")


def annotate(text: str, cited: Mapping[int, Cited], *, before: int = 0, first: int = 0) -> list[Annotation]:
    """An annotation for each marker in `text`, which begins at the character `before` of the message.

    The annotations are numbered from `first`.
    """
    markers = [marker for marker in _MARKER.finditer(text) if int(marker[1]) in cited]
    return [
        _annotation(first + place, before + marker.start(), before + marker.end(), cited[int(marker[1])])
        for place, marker in enumerate(markers)
    ]


def _annotation(index: int, start: int, end: int, cited: Cited) -> Annotation:
    return Annotation(
        index=index,
        url_citation=UrlCitation(start_index=start, end_index=end, title=cited.title, url=cited.uri),
        doc_id=cited.doc_id,
        chunk_id=cited.chunk_id,
        start=cited.start,
        end=cited.end,
        passage=cited.text,
    )
