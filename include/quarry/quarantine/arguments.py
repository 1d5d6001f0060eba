"""What `python -m include.quarry quarantine …` takes."""

import argparse
import re
from pathlib import Path

from include.quarry.verbs import verbs_of


def add_quarantine_commands(parser: argparse.ArgumentParser) -> None:
    """The verbs, each with its own arguments; the one chosen is `options.verb`."""
    verb = verbs_of(parser)

    def of_some(name: str, explanation: str) -> argparse.ArgumentParser:
        added = verb(name, explanation)
        chosen = added.add_mutually_exclusive_group(required=True)
        chosen.add_argument("handles", nargs="*", default=[], type=_handle, metavar="ID")
        chosen.add_argument("--all", action="store_true", help="all there is, the oldest first")
        return added

    listed = verb("list", "what is set aside, newest first")
    listed.add_argument("--corpus", help="only of this corpus")
    listed.add_argument("--tenant", help="only of this tenant")
    listed.add_argument("--limit", type=int, default=100, help="at most so many (default: %(default)s)")
    shown = verb("show", "one of them, with its reason")
    shown.add_argument("handle", type=_handle, metavar="ID")
    shown.add_argument("--out", type=Path, metavar="FILE", help="write the original bytes into this file")
    of_some(
        "replay",
        "read it again, as a new change; a newer version of the document that has come since wins; exit code 1 when "
        "something still cannot be read",
    )
    of_some("drop", "forget it; its document stays as it is")


def _handle(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id: those are 12 hex digits; `quarantine list` shows them")
    return text
