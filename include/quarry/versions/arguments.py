"""What `python -m include.quarry versions …` takes."""

import argparse
import re

from include.quarry.verbs import verbs_of

CORPUS = r"[a-z0-9][a-z0-9._-]{0,62}"
VERSION_ID = r"[a-z0-9][a-z0-9._-]{0,119}"
_NAMED = "small letters, digits, dot, dash and underscore"


def add_version_commands(parser: argparse.ArgumentParser) -> None:
    """The verbs, each with its own arguments; the one chosen is `options.verb`."""
    verb = verbs_of(parser)

    def of_version(name: str, explanation: str) -> argparse.ArgumentParser:
        added = verb(name, explanation)
        added.add_argument("version_id", type=version_id, metavar="VERSION")
        return added

    listed = verb("list", "all versions, newest first; lag is of the snapshot: replicas follow the log by themselves")
    listed.add_argument("--corpus", type=_corpus, help="only those of this corpus")
    of_version("show", "one version: its spec, its way so far, and what was seen of it beside the live one")
    build = verb("build", "build a version in this process, from texts that have vectors; again to bring it up to date")
    build.add_argument("--corpus", type=_corpus, default="main", help="default: main")
    spec = "live (the default): the spec that answers now; a file of include/index_specs; or a JSON object of its parts"
    build.add_argument("--spec", default="live", help=spec)
    build.add_argument("--version-id", type=version_id, help="default: corpus, spec and time")
    promote = of_version("promote", "prove a version complete, then let it answer")
    promote.add_argument("--unchecked", action="store_true", help="without the proof")
    rollback = verb("rollback", "let the version answer that was live before")
    rollback.add_argument("--corpus", type=_corpus, default="main", help="default: main")
    rollback.add_argument("--reason", required=True, help="kept with the version that is taken back")
    of_version("retire", "end a version that does not answer, and remove its files")
    refuse = of_version("refuse", "take a version off its way: it has failed")
    refuse.add_argument("--reason", required=True, help="kept with the version")


def _corpus(text: str) -> str:
    return _named(text, CORPUS, 63)


def version_id(text: str) -> str:
    """The name of a version or a release, for argparse."""
    return _named(text, VERSION_ID, 120)


def _named(text: str, pattern: str, longest: int) -> str:
    if not re.fullmatch(pattern, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name; up to {longest} {_NAMED}, a letter or digit first")
    return text
