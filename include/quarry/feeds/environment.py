"""The environment feed: the long description of every Python distribution installed here; nothing to download."""

import re
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution, distributions
from typing import cast

from include.quarry.feeds.protocol import FeedItem
from include.quarry.records import DocumentKey, RawDocument

_MAX_TITLE_CHARS = 120
_CONTENT_TYPES = {"text/markdown": "text/markdown", "text/x-rst": "text/x-rst"}


class EnvironmentFeed:
    """Distributions on `sys.path`, named as their index names them: lower case, words joined by `-` (PEP 503)."""

    def __init__(self, corpus: str, tenant: str) -> None:
        self._corpus = corpus
        self._tenant = tenant

    @property
    def name(self) -> str:
        return f"environment:{self._corpus}:{self._tenant}"

    def items(self) -> Iterator[FeedItem]:
        found: dict[str, Distribution] = {}
        for distribution in distributions():
            found.setdefault(_normal(distribution.metadata["Name"] or ""), distribution)
        for name in sorted(found):
            if name and _description(found[name]).strip():
                yield self._item(name, found[name])

    def _item(self, name: str, distribution: Distribution) -> FeedItem:
        uri = f"pkg:pypi/{name}@{distribution.version}"

        def load() -> RawDocument:
            header = cast(Message, distribution.metadata)
            declared = (header.get("Description-Content-Type") or "text/x-rst").partition(";")[0].strip().lower()
            return RawDocument(
                key=DocumentKey(self._corpus, self._tenant, name),
                uri=uri,
                content=_description(distribution).encode("utf-8", "replace"),
                content_type=_CONTENT_TYPES.get(declared, "text/plain"),
                title=_title(header),
                metadata={"version": distribution.version},
            )

        return FeedItem(name, uri, distribution.version, load)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _description(distribution: Distribution) -> str:
    header = cast(Message, distribution.metadata)
    text = str(header.get("Description") or header.get_payload() or "")
    if not text.strip() or text.strip() == "UNKNOWN":
        return str(header.get("Summary") or "")
    return text


def _title(header: Message) -> str:
    summary = " ".join(str(header.get("Summary") or "").split())
    title = f"{header['Name']}: {summary}" if summary and summary != "UNKNOWN" else str(header["Name"])
    return title if len(title) <= _MAX_TITLE_CHARS else title[: _MAX_TITLE_CHARS - 1].rsplit(" ", 1)[0] + "…"
