"""The files that a judged window leaves behind: our page, the trend, Evidently's report, and the verdict as JSON."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from evaluation.drift_evidently import write_evidently
from evaluation.drift_picture import JudgedWindow, draw_trend
from include.quarry.drift.furthest import furthest
from include.quarry.drift.reference import Reference
from include.quarry.drift.remedy import Remedy
from include.quarry.drift.verdict import Verdict
from include.quarry.drift.window import Window

FURTHEST = 20
_STYLE = (
    "body{font:15px sans-serif;max-width:1000px;margin:2em auto;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left}img{max-width:100%}"
)


def write_report(
    folder: Path, reference: Reference, window: Window, history: Sequence[JudgedWindow], remedy: Remedy
) -> list[Path]:
    """Write `drift.html`, `trend.png`, `verdict.json` and `evidently.html` into `folder`; gives their paths.

    `history` holds the windows judged so far, the last being `window`'s own. Without vectors there is no map to draw,
    so an empty window has no `evidently.html`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    verdict = max(history, key=lambda judged: judged.until).verdict
    page, trend, record = (folder / name for name in ("drift.html", "trend.png", "verdict.json"))
    draw_trend(history).savefig(trend, dpi=110)
    record.write_text(verdict.to_json() + "\n", encoding="utf-8")
    page.write_text(_page(reference, window, verdict, remedy, trend.read_bytes()), encoding="utf-8")
    paths = [page, trend, record]
    if len(window):
        paths.append(folder / "evidently.html")
        write_evidently(paths[-1], reference, window)
    return paths


def _page(reference: Reference, window: Window, verdict: Verdict, remedy: Remedy, trend: bytes) -> str:
    scope = reference.corpus + (f", tenant {reference.tenant}" if reference.tenant else "")
    head = f"Drift of {reference.subject} in {scope}: {verdict.outcome}"
    facts = (
        f"{window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M}: {len(window)} chunks of "
        f"{window.texts.document_count} documents, against the reference of {reference.made_at:%Y-%m-%d %H:%M} "
        f"({reference.documents} documents)"
    )
    picture = base64.b64encode(trend).decode()
    return "\n".join(
        (
            f"<!doctype html><meta charset='utf-8'><title>{escape(head)}</title><style>{_STYLE}</style>",
            f"<h1>{escape(head)}</h1><p>{escape(facts)}</p>",
            f"<p><b>Remedy: {escape(remedy.action)}</b>. {escape(remedy.reason)}</p>",
            "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons) + "</ul>",
            _table(("statistic", "effect", "floor", "p", "adjusted p", "meaning", "details"), _statistics(verdict)),
            f"<h2>Over time</h2><img alt='trend' src='data:image/png;base64,{picture}'>",
            "<h2>The documents furthest from every centroid</h2>",
            _table(("document", "distance", "of the reference lie nearer"), _far(reference, window)),
        )
    )


def _statistics(verdict: Verdict) -> Iterable[Sequence[str]]:
    for one in verdict.statistics:
        p_value = "" if one.p_value is None else f"{one.p_value:.4f}"
        adjusted = f"{verdict.adjusted[one.name]:.4f}" if one.name in verdict.adjusted else ""
        details = ", ".join(f"{name} {value:.4g}" for name, value in one.details.items())
        yield one.name, f"{one.value:.4g}", f"{one.floor:g}", p_value, adjusted, one.meaning, details


def _far(reference: Reference, window: Window) -> Iterable[Sequence[str]]:
    if not len(window):
        return
    for one in furthest(reference, window, FURTHEST):
        yield one.document, f"{one.distance:.3f}", f"{one.reference_share_nearer:.1%}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
