"""The page of a review: what disappointed people, subject by subject, what they were shown, and what to try."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from include.quarry.catalog.ratings import RatedQuery, Shown
from include.quarry.feedback.causes import SUGGESTIONS
from include.quarry.feedback.clusters import Cluster

_EXAMPLES, _PASSAGES, _SHOWN_CHARS, _BARS = 8, 3, 400, 15
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
    "blockquote{margin:.3em 0 .3em 1em;padding-left:.8em;border-left:3px solid #ddd;color:#555}"
    "table{border-collapse:collapse}td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left}"
    "img{max-width:100%}small{color:#666}"
)


@dataclass(frozen=True, slots=True)
class Review:
    """What a review found. `texts` holds the passages that the catalog still has, by chunk_id."""

    corpus: str
    since: datetime
    until: datetime
    rated: int
    low: int
    clusters: Sequence[Cluster]
    texts: Mapping[str, str]

    @property
    def causes(self) -> dict[str, int]:
        """How many low-rated queries have each cause."""
        return {
            cause: count
            for cause in SUGGESTIONS
            if (count := sum(cluster.causes.get(cause, 0) for cluster in self.clusters))
        }


def write_review(folder: Path, review: Review) -> list[Path]:
    """Write `review.html` and `subjects.png` into `folder`; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, picture = folder / "review.html", folder / "subjects.png"
    drawn = io.BytesIO()
    draw_subjects(review).savefig(drawn, dpi=110)
    picture.write_bytes(drawn.getvalue())
    page.write_text(_page(review, drawn.getvalue()), encoding="utf-8")
    return [page, picture]


def draw_subjects(review: Review) -> Figure:
    """A bar a subject: how many rated queries disappointed, and how many pleased."""
    shown = list(review.clusters[:_BARS])[::-1]
    figure = Figure(figsize=(9, 1.2 + 0.4 * max(len(shown), 1)), layout="constrained")
    axes = figure.subplots()
    names = [_short(cluster.queries[0].text, 60) for cluster in shown]
    places = range(len(shown))
    low = [cluster.low for cluster in shown]
    axes.barh(places, low, color="#c0392b", label="disappointed")
    axes.barh(places, [c.rated - c.low for c in shown], left=low, color="#4878a8", label="pleased")
    axes.set_yticks(places, names, fontsize=8, parse_math=False)  # people may ask about `$`
    axes.set_xlabel("rated queries")
    axes.legend(fontsize=8)
    return figure


def _page(review: Review, picture: bytes) -> str:
    head = f"What people think of the answers of {review.corpus}"
    facts = (
        f"{review.since:%Y-%m-%d} to {review.until:%Y-%m-%d}: {review.rated} rated queries, {review.low} of them "
        f"disappointed ({review.low / max(review.rated, 1):.0%}), about {len(review.clusters)} subjects"
    )
    encoded = base64.b64encode(picture).decode()
    causes = ((cause, str(count), SUGGESTIONS[cause]) for cause, count in review.causes.items())  # type: ignore[index]
    return "\n".join(
        (
            f"<!doctype html><meta charset='utf-8'><title>{escape(head)}</title><style>{_STYLE}</style>",
            f"<h1>{escape(head)}</h1><p>{escape(facts)}</p>",
            _table(("likely cause", "queries", "try first"), causes),
            f"<h2>Subjects</h2><img alt='rated queries by subject' src='data:image/png;base64,{encoded}'>",
            *(_subject(number, cluster, review) for number, cluster in enumerate(review.clusters, 1)),
        )
    )


def _subject(number: int, cluster: Cluster, review: Review) -> str:
    title = f"{number}. {_short(cluster.queries[0].text, 100)}"
    facts = f"{cluster.low} of {cluster.rated} rated queries disappointed ({cluster.low_rate:.0%})"
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(cluster.causes.items(), key=lambda one: -one[1]))
    examples = "".join(_example(query, review.texts) for query in cluster.queries[:_EXAMPLES])
    more = len(cluster.queries) - _EXAMPLES
    return (
        f"<h3>{escape(title)}</h3><p>{escape(facts)}. <b>{escape(SUGGESTIONS[cluster.cause])}</b> "
        f"<small>({escape(causes)})</small></p>{examples}"
        + (f"<p><small>and {more} more</small></p>" if more > 0 else "")
    )


def _example(query: RatedQuery, texts: Mapping[str, str]) -> str:
    said = "".join(f"<blockquote>“{escape(each.comment)}”</blockquote>" for each in query.ratings if each.comment)
    passages = "".join(_passage(query, passage, texts.get(passage.chunk_id)) for passage in query.shown[:_PASSAGES])
    asked = f"{query.asked_at:%Y-%m-%d %H:%M}, version {query.index_version}, query {query.query_id}"
    return (
        f"<details><summary>{escape(_short(query.text, 200))}</summary><p><small>{escape(asked)}</small></p>{said}"
        f"<ol>{passages}</ol></details>"
    )


def _passage(query: RatedQuery, passage: Shown, text: str | None) -> str:
    place = f"{_ranks(passage.ranks)}{_opinion(query, passage.chunk_id)}"
    shown = _short(text or "no longer in the catalog", _SHOWN_CHARS)
    return f"<li>{escape(passage.doc_id)} <small>{escape(place)}</small><blockquote>{escape(shown)}</blockquote></li>"


def _ranks(ranks: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {rank}" for name, rank in sorted(ranks.items()))


def _opinion(query: RatedQuery, chunk_id: str) -> str:
    said = query.said_of(chunk_id)
    return f", rated {said:+d}" if said else ""


def _short(text: str, chars: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
