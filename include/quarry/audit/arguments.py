"""What `python -m include.quarry audit …` takes."""

import argparse
from datetime import UTC, datetime
from pathlib import Path


def add_audit_commands(parser: argparse.ArgumentParser) -> None:
    """The verbs, each with its own arguments; the one chosen is `options.verb`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="hold the whole audit against itself; exit code 1 when it does not fit")
    verify.add_argument(
        "--seal",
        type=_seal,
        action="append",
        default=[],
        metavar="NUMBER:HASH",
        help="a seal that was kept elsewhere, from MLflow or a report; repeatable",
    )
    export = verbs.add_parser("export", help="write records into a Parquet file, with their hashes")
    export.add_argument("out", type=Path, metavar="FILE")
    export.add_argument("--tenant", help="only what callers of this tenant did")
    export.add_argument("--subject", help="only what this subject did")
    export.add_argument("--since", type=_time, metavar="TIME", help="only from this time on, UTC unless it says else")
    export.add_argument("--until", type=_time, metavar="TIME", help="only before this time")


def _seal(text: str) -> tuple[int, str]:
    number, _, kept = text.partition(":")
    if not number.isdecimal() or len(kept) != 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no seal; write its number, a colon, and its 64 hex digits")
    return int(number), kept


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-03-01 or 2026-03-01T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
