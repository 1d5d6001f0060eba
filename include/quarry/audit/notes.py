"""What becomes known of a request on its way: the facts for the audit, and the content for the query log.

Routes note; whoever keeps the record turns the notes into it just before the response leaves.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from include.quarry.generation.answers import Answer, Spent
from include.quarry.generation.protocol import Usage
from include.quarry.retrieval.encoding import outline
from include.quarry.retrieval.retriever import Retrieval


class Notes:
    """The notes of one request. They stay in the process that answers it: sent to another, they arrive empty."""

    __slots__ = ("_answer", "_asked", "_facts", "_found", "_spent")

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._asked: tuple[str, str] | None = None
        self._found: Retrieval | None = None
        self._answer: Answer | None = None
        self._spent = Spent()

    def __reduce__(self) -> tuple[type["Notes"], tuple[()]]:
        return Notes, ()

    def note(self, **facts: object) -> None:
        """Facts for the audit; never a text of a query, a passage or an answer."""
        self._facts |= facts

    def found(self, kind: str, corpus: str, query: str, found: Retrieval) -> None:
        """What was found for whoever asked; `kind` is `retrieve` or `answer`."""
        self._asked, self._found = (kind, query), found
        self._facts["corpus"] = corpus

    def spent(self, spent: Spent) -> None:
        """What the answer in the making has used so far."""
        self._spent = spent

    def answered(self, answer: Answer) -> None:
        """The answer that was made of it."""
        self._answer = answer

    def facts(self) -> dict[str, Any]:
        """For the audit."""
        facts = dict(self._facts)
        if self._found is not None:
            hits = outline(self._found.hits)
            facts |= {
                "index_version": self._found.index_version,
                "watermark": self._found.watermark,
                "chunks": [chunk_id for chunk_id, *_ in hits],
                "documents": list(dict.fromkeys(doc_id for _, doc_id, *_ in hits)),
            }
        if self._answer is not None:
            answer = self._answer
            facts |= {
                "tier": answer.tier,
                "release": asdict(answer.origin) if answer.origin else None,
                "grounded": answer.grounded,
                **_used(Spent(answer.spent, answer.cost), answer.usage),
                **({"cached": True} if answer.kept else {}),
                "cited": list(dict.fromkeys(citation.chunk_id for citation in answer.citations)),
            }
        elif self._spent.by:  # nobody waited for the answer; the tier that was at it is the last one
            tier = list(self._spent.by)[-1]
            facts |= {"tier": tier, "unfinished": True, **_used(self._spent, self._spent.usage)}
        return facts

    def content(self) -> Mapping[str, Any] | None:
        """For the query log; None where nothing was asked."""
        if self._asked is None or self._found is None:
            return None
        kind, query = self._asked
        content: dict[str, Any] = {"kind": kind, "query": query, "hits": outline(self._found.hits)}
        if self._answer is not None:
            citations = [asdict(citation) for citation in self._answer.citations]
            content["answer"] = {"text": self._answer.text, "citations": citations}
        return content


def _used(spent: Spent, usage: Usage) -> dict[str, Any]:
    return {
        "usage": asdict(usage),
        "spent": {tier: asdict(each) for tier, each in spent.by.items()},
        "cost": spent.cost,
    }
