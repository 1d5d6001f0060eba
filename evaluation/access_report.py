"""The page of an inspection of the audit: whether it fits together, its seal, and the reads to look at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from include.quarry.audit.chain import Finding
from include.quarry.audit.odd_reads import OddRead, Reads
from include.quarry.audit.seals import Seal

_READERS = 20
_STYLE = (
    "body{font:15px sans-serif;max-width:1000px;margin:2em auto;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left}code{word-break:break-all}"
    ".broken{color:#a00}.intact{color:#070}"
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found. `known` are findings of earlier seals; `new` are those that somebody must hear of."""

    since: datetime
    until: datetime
    seal: Seal
    new: Sequence[Finding]
    known: Sequence[Finding]
    reads: Reads
    odd: Sequence[OddRead]

    @property
    def foreign_reads(self) -> list[OddRead]:
        """Passages that reached another tenant than their own."""
        return [odd for odd in self.odd if odd.kind == "foreign_read"]

    @property
    def outcome(self) -> str:
        """`broken`, `leaked`, `odd` or `clean`."""
        if self.new:
            return "broken"
        return "leaked" if self.foreign_reads else "odd" if self.odd else "clean"

    @property
    def reasons(self) -> list[str]:
        """Why it is not clean, in words."""
        return [finding.text for finding in self.new] + [f"{odd.kind}: {odd.text}" for odd in self.odd]


def write_report(folder: Path, inspection: Inspection) -> list[Path]:
    """Write `access.html` and `seal.json` into `folder`; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, seal = folder / "access.html", folder / "seal.json"
    page.write_text(_page(inspection), encoding="utf-8")
    seal.write_text(f'{{"number": {inspection.seal.number}, "hash": "{inspection.seal.hash}"}}\n', encoding="utf-8")
    return [page, seal]


def _page(inspection: Inspection) -> str:
    seal, reads = inspection.seal, inspection.reads
    head = f"Audit of {inspection.since:%Y-%m-%d %H:%M} to {inspection.until:%Y-%m-%d %H:%M}: {inspection.outcome}"
    state = "broken" if inspection.new else "intact"
    chains = (
        f"{seal.records} records were verified. Seal {seal.number} of {seal.at:%Y-%m-%d %H:%M}: "
        f"<code>{seal.number}:{seal.hash}</code>. Hold the audit against it at any time: "
        f"<code>python -m include.quarry audit verify --seal {seal.number}:{seal.hash}</code>"
    )
    refused = sum(count for status, count in reads.statuses.items() if status in (401, 403, 404, 429))
    return "\n".join(
        (
            f"<!doctype html><meta charset='utf-8'><title>{escape(head)}</title><style>{_STYLE}</style>",
            f"<h1>{escape(head)}</h1><h2 class='{state}'>The chains are {state}</h2><p>{chains}</p>",
            _table(("what does not fit", "where"), ((each.text, each.place) for each in inspection.new)),
            "<p>Known from earlier seals:</p>" if inspection.known else "",
            _table(("what did not fit", "where"), ((each.text, each.place) for each in inspection.known)),
            f"<h2>Reads to look at</h2><p>{reads.records} records in this time, {refused} refusals.</p>",
            _table(
                ("kind", "tenant", "subject", "how many", "what"),
                (
                    (odd.kind, _named(odd.tenant), _named(odd.subject), str(odd.count), odd.text)
                    for odd in inspection.odd
                ),
            ),
            "<h2>Who read most</h2>",
            _table(("tenant", "subject", "documents"), _readers(reads)),
            "<h2>Statuses</h2>",
            _table(("status", "times"), ((str(each), str(times)) for each, times in sorted(reads.statuses.items()))),
        )
    )


def _readers(reads: Reads) -> Iterable[Sequence[str]]:
    ranked = sorted(reads.documents.items(), key=lambda item: -len(item[1]))
    return ((_named(who[0]), _named(who[1]), str(len(found))) for who, found in ranked[:_READERS])


def _named(name: str | None) -> str:
    return "(no token)" if name is None else name


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<table><tr>{head}</tr>{body}</table>" if body else ""
