"""The verbs of a command: `python -m include.quarry COMMAND VERB …`."""

import argparse
from collections.abc import Callable


def verbs_of(parser: argparse.ArgumentParser) -> Callable[[str, str], argparse.ArgumentParser]:
    """What adds a verb to the command, by a name and an explanation. All take `--json`; the one chosen is
    `options.verb`."""
    verbs = parser.add_subparsers(dest="verb", required=True)

    def add(name: str, explanation: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=explanation, description=explanation)
        verb.add_argument("--json", action="store_true", help="print JSON, for programs")
        return verb

    return add
