"""The files that a judged window leaves behind: our page, the trend, Evidently's report, and the verdict as JSON."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from evaluation.drift_evidently import write_evidently
from evaluation.drift_picture import draw_trend
from include.quarry.drift.furthest import furthest
from include.quarry.drift.memory import JudgedWindow
from include.quarry.drift.reference import Reference
from include.quarry.drift.remedy import Remedy
from include.quarry.drift.verdict import Verdict
from include.quarry.drift.window import Window
from include.quarry.drift.wording import most_telling

FURTHEST = 20
_STYLE = (
    "body{font:15px sans-serif;max-width:1000px;margin:2em auto;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}img{max-width:100%}"
    "h2{margin-top:2em}"
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report is made of. `history` holds the windows judged so far, the last being `window`'s own.

    `spelled` gives the words that the window's numbers stand for, `titles` what people know its documents by where
    that is not their name.
    """

    reference: Reference
    window: Window
    history: Sequence[JudgedWindow]
    remedy: Remedy
    spelled: Mapping[int, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def newest(self) -> JudgedWindow:
        """The window that the report is about."""
        return max(self.history, key=lambda judged: judged.until)

    @property
    def things(self) -> str:
        """What is counted."""
        return "queries" if self.reference.subject == "queries" else "documents"


def write_report(folder: Path, findings: Findings) -> list[Path]:
    """Write `drift.html`, `trend.png`, `verdict.json` and `evidently.html` into `folder`; gives their paths.

    Without vectors there is no map to draw, so an empty window has no `evidently.html`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, trend, record = (folder / name for name in ("drift.html", "trend.png", "verdict.json"))
    draw_trend(findings.history).savefig(trend, dpi=110)
    record.write_text(json.dumps(asdict(findings.newest.verdict), sort_keys=True) + "\n", encoding="utf-8")
    page.write_text(_page(findings, trend.read_bytes()), encoding="utf-8")
    paths = [page, trend, record]
    if len(findings.window):
        paths.append(folder / "evidently.html")
        write_evidently(paths[-1], findings.reference, findings.window)
    return paths


def _page(findings: Findings, trend: bytes) -> str:
    reference, verdict, things = findings.reference, findings.newest.verdict, findings.things
    scope = reference.corpus + (f", tenant {reference.tenant}" if reference.tenant else "")
    head = f"Drift of {reference.subject} in {scope}: {verdict.outcome}"
    picture = base64.b64encode(trend).decode()
    return "\n".join(
        (
            f"<!doctype html><meta charset='utf-8'><title>{escape(head)}</title><style>{_STYLE}</style>",
            f"<h1>{escape(head)}</h1><p>{escape(_facts(findings))}</p>",
            f"<p><b>Remedy: {escape(findings.remedy.action)}</b>. {escape(findings.remedy.reason)}</p>",
            "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons) + "</ul>",
            _table(("statistic", "effect", "floor", "p", "adjusted p", "meaning", "details"), _statistics(verdict)),
            f"<h2>Over time</h2><img alt='trend' src='data:image/png;base64,{picture}'>",
            f"<h2>Words that more {things} have than before</h2>",
            _table(("word", f"of these {things}", "of those before"), _words(findings)),
            f"<h2>The {things} furthest from every centroid</h2>",
            _table((things, "distance", "of the reference lie nearer"), _far(findings)),
        )
    )


def _facts(findings: Findings) -> str:
    window, reference, newest, things = findings.window, findings.reference, findings.newest, findings.things
    count = window.texts.document_count
    texts = f"{count} {things}" if things == "queries" else f"{len(window)} chunks of {count} {things}"
    late = f", {newest.waiting} more without vectors yet" if newest.waiting else ""
    return (
        f"{newest.since:%Y-%m-%d %H:%M} to {newest.until:%Y-%m-%d %H:%M} UTC: {texts}{late}, against the reference of "
        f"{reference.made_at:%Y-%m-%d %H:%M} ({reference.documents} {things})"
    )


def _statistics(verdict: Verdict) -> Iterable[Sequence[str]]:
    for one in verdict.statistics:
        p_value = "" if one.p_value is None else f"{one.p_value:.4f}"
        adjusted = f"{verdict.adjusted[one.name]:.4f}" if one.name in verdict.adjusted else ""
        details = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in one.details.items())
        yield one.name, f"{one.value:.4g}", f"{one.floor:g}", p_value, adjusted, one.meaning, details


def _words(findings: Findings) -> Iterable[Sequence[str]]:
    if not len(findings.window):
        return
    for gain in most_telling(findings.reference, findings.window):
        yield findings.spelled.get(gain.word, "?"), f"{gain.window:.1%}", f"{gain.reference:.1%}"


def _far(findings: Findings) -> Iterable[Sequence[str]]:
    if not len(findings.window):
        return
    for one in furthest(findings.reference, findings.window, FURTHEST):
        title = findings.titles.get(one.document, one.document)
        yield title, f"{one.distance:.3f}", f"{one.reference_share_nearer:.1%}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
