"""Where the documents went that a listing lists no more. A listing has no word for a move: whoever has the very same
content as one that has vanished is taken for it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import standing
from include.quarry.errors import InvalidInput
from include.quarry.feeds.content import content_hash
from include.quarry.feeds.protocol import FeedItem, Listing
from include.quarry.records import DocumentKey, RawDocument

_COMPARED = 100
"""With so many of its size a document is compared; a folder that was moved keeps its order, and the first of them fits.
"""


def find_moves(
    listing: Listing, vanished: Mapping[DocumentKey, str], database: Database
) -> dict[DocumentKey, DocumentKey]:
    """What became of those of the vanished that were moved; with each comes the offset that it had."""
    with database.read() as connection:
        present = standing(connection, sorted(vanished))
    alike: defaultdict[str, dict[DocumentKey, tuple[str, str, str]]] = defaultdict(dict)
    for key in sorted(present):
        if (row := present[key]).feed == listing.name and not row.deleted:
            alike[_likeness(vanished[key])][key] = row.uri, row.content_type, row.content_hash
    gone = {key.doc_id for key in vanished}
    went: dict[DocumentKey, DocumentKey] = {}
    for item in listing.items() if alike else ():
        like_it = alike.get(_likeness(item.offset))
        if like_it and item.doc_id not in gone and (raw := _loaded(item)) is not None:
            for key, (uri, content_type, its_hash) in islice(like_it.items(), _COMPARED):
                if content_hash(replace(raw, uri=uri, content_type=content_type)) == its_hash:
                    del like_it[key]
                    went[key] = raw.key
                    break
    return went


def _loaded(item: FeedItem) -> RawDocument | None:
    try:
        return item.load()
    except (InvalidInput, OSError):
        return None  # nobody can be shown there


def _likeness(offset: str) -> str:
    return offset.partition(":")[0]
