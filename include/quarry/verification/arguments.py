"""What `python -m include.quarry verify …` takes."""

import argparse


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "--against",
        metavar="SOURCE",
        help="also with what exists there: a folder, `environment:`, or a topic or table that QUARRY_FEEDS describes",
    )
    parser.add_argument("--corpus", default="main", help="of a folder (default: %(default)s)")
    parser.add_argument("--tenant", default="default", help="of a folder (default: %(default)s)")
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds that what is on its way is waited for, in each comparison (default: %(default)s)",
    )
