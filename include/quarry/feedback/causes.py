"""Why an answer may have disappointed, told from what was shown, and what to try first.

Rules of thumb, each a sentence that can be checked, in the order in which one excludes the next:

documents  nothing that answers was found: no passage at all, or an answer of "I don't know"
prompt     passages were called good, and the answer was not
index      a passage called good stood below one called bad, or meaning and words found nothing in common
chunking   the best passages are pieces of one document, so what was asked for lies across a cut
unclear    none of these
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from include.quarry.catalog.ratings import RatedQuery

Cause = Literal["documents", "prompt", "index", "chunking", "unclear"]

SUGGESTIONS: dict[Cause, str] = {
    "documents": "The corpus does not hold what is asked: ingest documents about it.",
    "prompt": "The passages were good and the answer was not: look at include/prompts/answer.md, or ask the deep tier.",
    "index": "The right passages stand too low: try another index spec and let the gate compare them.",
    "chunking": "What is asked for lies across passages of one document: try larger passages (an index spec with a "
    "larger max_tokens).",
    "unclear": "What was shown does not say why: read the questions.",
}
_BEST = 5


def cause_of(query: RatedQuery) -> Cause:
    """The first rule that the query meets."""
    if not query.shown or query.grounded is False:
        return "documents"
    said = [query.said_of(passage.chunk_id) for passage in query.shown]
    if any(rating > 0 for rating in said):
        return "index" if _bad_above_good(said) else "prompt"
    best = query.shown[:_BEST]
    lists = {name for passage in best for name in passage.ranks}
    if len(lists) > 1 and not any(len(passage.ranks) > 1 for passage in best):
        return "index"
    documents = Counter(passage.doc_id for passage in best)
    if documents.most_common(1)[0][1] > 1:
        return "chunking"
    return "unclear"


def suggest(queries: Sequence[RatedQuery]) -> tuple[Cause, dict[Cause, int]]:
    """The cause that most of the queries share, the one that comes first in a tie, and how many have each."""
    counts = Counter(cause_of(query) for query in queries)
    order: list[Cause] = list(SUGGESTIONS)
    return max(order, key=lambda cause: (counts[cause], -order.index(cause))), dict(counts)


def _bad_above_good(said: Sequence[int]) -> bool:
    best_good = next(place for place, rating in enumerate(said) if rating > 0)
    return any(rating < 0 for rating in said[:best_good])
