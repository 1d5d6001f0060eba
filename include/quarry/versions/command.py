"""`python -m include.quarry versions …`: what each verb does and prints."""

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from include.quarry.index_specs import named_fingerprints
from include.quarry.routing.building import build_version
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec
from include.quarry.versions.desk import VersionDesk
from include.quarry.versions.watch import build_watched


def run(options: argparse.Namespace, settings: Settings) -> None:
    """Do what was asked for and print the outcome. Raises errors of the tree, and then nothing has moved."""
    outcome = _outcome(options, settings)
    if options.json:
        print(json.dumps(outcome, default=str, indent=2))
    elif options.verb == "list":
        print("\n".join(table_of(outcome)))
    else:
        print("\n".join(lines_of(outcome)))


def _outcome(options: argparse.Namespace, settings: Settings) -> Any:
    desk = VersionDesk(settings)
    outcome: Any
    match options.verb:
        case "list":
            outcome = desk.listing(options.corpus)
        case "show":
            outcome = desk.show(options.version_id)
        case "build":
            outcome = _build(options, settings, desk.spec_of(options.corpus, options.spec))
        case "promote":
            outcome = desk.promote(options.version_id, unchecked=options.unchecked)
        case "rollback":
            outcome = desk.roll_back(options.corpus, options.reason)
        case "retire":
            outcome = desk.retire(options.version_id)
        case _:
            outcome = desk.refuse(options.version_id, options.reason)
    return outcome


def _build(options: argparse.Namespace, settings: Settings, spec: IndexSpec) -> dict[str, str | int]:
    build = build_version if options.json else build_watched
    return build(options.version_id or _new_id(options.corpus, spec, settings), options.corpus, spec, settings)


def _new_id(corpus: str, spec: IndexSpec, settings: Settings) -> str:
    """The corpus, the spec by its name or the beginning of its fingerprint, and the second."""
    fingerprint = spec.fingerprint
    name = named_fingerprints(dtype=settings.embedding_dtype).get(fingerprint, fingerprint[:8])
    return f"{f'{corpus}-{name}'[:104]}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def table_of(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """The versions in columns; at any width of the terminal, so that programs can cut them too."""
    if not views:
        return ["no index version yet; build one with `python -m include.quarry versions build`"]
    rows = [
        {
            "version": view["version_id"],
            "corpus": view["corpus"],
            "state": view["state"] + (" (previous)" if view["previous"] else ""),
            "share": _share(view),
            "spec": view["spec"],
            "watermark": str(view["watermark"]),
            "lag": "-" if view["lag_changes"] is None else str(view["lag_changes"]),
            "chunks": str(view["chunks"]),
            "created": f"{view['created_at']:%Y-%m-%d %H:%M}",
        }
        for view in views
    ]
    return columns(rows, right={"share", "watermark", "lag", "chunks"})


def columns(rows: Sequence[Mapping[str, str]], *, right: Collection[str]) -> list[str]:
    """Rows under their names, those in `right` to the right. Raises `IndexError` without a row."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    return [
        "  ".join(
            text.rjust(widths[name]) if name in right else text.ljust(widths[name]) for name, text in row.items()
        ).rstrip()
        for row in ({name: name for name in widths}, *rows)
    ]


def lines_of(outcome: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`name value` for every field, those of a part as `part.name`."""
    lines: list[str] = []
    for name, value in outcome.items():
        if isinstance(value, Mapping):
            lines += lines_of(value, f"{prefix}{name}.")
        elif value not in (None, ""):
            shown = f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else value
            lines.append(f"{prefix + name:<24}{shown}")
    return lines


def _share(view: Mapping[str, Any]) -> str:
    if view["shadow_share"]:
        return f"shadow {view['shadow_share']:.0%}"
    return f"{view['share']:.0%}" if view["share"] else "-"
