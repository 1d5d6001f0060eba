"""`python -m include.quarry releases …`: what each verb does and prints."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from include.quarry.errors import InvalidInput
from include.quarry.releases.desk import ReleaseDesk
from include.quarry.settings import Settings
from include.quarry.versions.command import columns, lines_of


def run(options: argparse.Namespace, settings: Settings) -> None:
    """Do what was asked for and print the outcome. Raises errors of the tree, and then nothing has moved."""
    outcome = _outcome(options, ReleaseDesk(settings))
    if options.json:
        print(json.dumps(outcome, default=str, indent=2))
    elif options.verb == "list":
        print("\n".join(table_of(outcome)))
    else:
        print("\n".join(lines_of(outcome)))
    if options.verb not in ("list", "show") and outcome["mlflow"]:
        print(f"done, but MLflow's registries do not hold it yet: {outcome['mlflow']}", file=sys.stderr)


def _outcome(options: argparse.Namespace, desk: ReleaseDesk) -> Any:
    outcome: Any
    match options.verb:
        case "list":
            outcome = desk.listing(options.tier)
        case "show":
            outcome = desk.show(options.release_id)
        case "create":
            what = {"model": options.model, "template": _template(options), "release_id": options.release_id}
            outcome = desk.create(options.tier, **what)
        case "canary":
            outcome = desk.canary(options.release_id, options.share, unchecked=options.unchecked)
        case "promote":
            outcome = desk.promote(options.release_id, unchecked=options.unchecked)
        case "rollback":
            outcome = desk.roll_back(options.tier, options.reason)
        case _:
            outcome = desk.refuse(options.release_id, options.reason)
    return outcome


def _template(options: argparse.Namespace) -> str | None:
    if options.prompt is None:
        return None
    try:
        text: str = options.prompt.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"prompt {options.prompt} cannot be read: {error}") from error
    return text


def table_of(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """The releases in columns."""
    rows = [
        {
            "release": view["release_id"],
            "tier": view["tier"],
            "state": view["state"] + (" (previous)" if view["previous"] else ""),
            "share": f"{view['share']:.0%}" if view["share"] else "-",
            "model": view["model"],
            "prompt": view["prompt_version"],
            "gate": f"passed against {view['passed_against']}" if view["passed_against"] else "-",
            "created": f"{view['created_at']:%Y-%m-%d %H:%M}",
        }
        for view in views
    ]
    return columns(rows, right={"share"})
