"""Retrieval metrics per query, computed by ranx.

With `rel_i` the grade at rank `i` and `R` the number of relevant documents (grade 1 or more) of a query:

    ndcg@10         sum over i <= 10 of [rel_i > 0] / log2(i + 1), over the same sum of the best possible ranking
    ndcg@10_graded  the same with rel_i in place of [rel_i > 0]
    p@5             relevant documents among the first 5, over 5
    recall@k        relevant documents among the first k, over R
    mrr@10          1 / rank of the first relevant document, 0 if it is not among the first 10

nDCG follows Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

HEADLINE = "ndcg@10"
GRADED = "ndcg@10_graded"
METRICS = (HEADLINE, GRADED, "p@5", "recall@10", "recall@100", "mrr@10")
_RANX_NAMES = {
    "ndcg@10": "ndcg@10",
    "p@5": "precision@5",
    "recall@10": "recall@10",
    "recall@100": "recall@100",
    "mrr@10": "mrr@10",
}
_NOTHING = "\0nothing was retrieved"

PerQuery = dict[str, dict[str, float]]


def rank_documents(hits: Sequence[tuple[str, float]]) -> list[str]:
    """Document ids in the order of their first passage: the order that was answered, not the one that the scores ask
    for, since the answer is what users see."""
    return list(dict.fromkeys(doc_id for doc_id, _ in hits))


def score(judgments: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]) -> PerQuery:
    """Each metric of each judged query: `scores[query_id][metric]`. A query without a ranking scores 0 throughout."""
    if not judgments:
        return {}
    # ranx pairs qrels and run by position, and needs at least one document per query.
    graded = {query_id: dict(grades) for query_id, grades in judgments.items()}
    binary = {query_id: {doc: int(grade > 0) for doc, grade in grades.items()} for query_id, grades in graded.items()}
    run = {query_id: _strictly_ordered(rankings.get(query_id, ())) for query_id in graded}
    columns = _evaluate(binary, run, list(_RANX_NAMES.values()))
    columns |= {f"{name}_graded": values for name, values in _evaluate(graded, run, ["ndcg@10", "dcg@10"]).items()}
    columns = {ours: columns[theirs] for ours, theirs in (_RANX_NAMES | {GRADED: GRADED}).items()}
    return {
        query_id: {metric: float(columns[metric][row]) for metric in METRICS} for row, query_id in enumerate(graded)
    }


def mean_scores(per_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the judged queries."""
    if not per_query:
        return {}
    return {metric: sum(scores[metric] for scores in per_query.values()) / len(per_query) for metric in METRICS}


def _strictly_ordered(ranking: Sequence[str]) -> dict[str, float]:
    """Scores that fall by one per rank: ranx sorts unstably, so equal scores would be ordered by chance."""
    return {doc_id: float(len(ranking) - place) for place, doc_id in enumerate(ranking)} or {_NOTHING: 0.0}


def _evaluate(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]], metrics: list[str]) -> dict[str, Any]:
    """ranx's scores by metric, each float64 `[queries]` in the order of `qrels`; it needs two metrics or more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba warns about casts inside ranx
        scores: dict[str, Any] = _ranx_evaluate()(qrels, run, metrics, return_mean=False)
        return scores


@cache
def _ranx_evaluate() -> Any:
    """ranx takes seconds to import and to compile, so only those who score pay for it."""
    from ranx import evaluate  # noqa: PLC0415

    return evaluate
