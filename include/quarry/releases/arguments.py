"""What `python -m include.quarry releases …` takes."""

import argparse
from pathlib import Path

from include.quarry.generation.protocol import TIERS
from include.quarry.verbs import verbs_of
from include.quarry.versions.arguments import version_id


def add_release_commands(parser: argparse.ArgumentParser) -> None:
    """The verbs, each with its own arguments; the one chosen is `options.verb`."""
    verb = verbs_of(parser)

    def of_release(name: str, explanation: str) -> argparse.ArgumentParser:
        added = verb(name, explanation)
        added.add_argument("release_id", type=version_id, metavar="RELEASE")
        return added

    listed = verb("list", "all releases, newest first; `default` is what the settings say")
    listed.add_argument("--tier", choices=TIERS, help="only those of this tier")
    of_release("show", "one release, with its prompt")
    create = verb("create", "register a model with a prompt, by which a tier can answer")
    create.add_argument("--tier", choices=TIERS, required=True)
    create.add_argument("--model", help="as QUARRY_FAST_MODEL or QUARRY_DEEP_MODEL names one; default: the setting's")
    create.add_argument("--prompt", type=Path, metavar="FILE", help="default: include/prompts/answer.md")
    create.add_argument("--release-id", type=version_id, help="default: tier, prompt and time")
    canary = of_release("canary", "let a release answer a share of the requests")
    canary.add_argument("--share", type=float, required=True, help="0 to 1; with 0 it is loaded and answers nothing")
    promote = of_release("promote", "let a release answer for its tier")
    for moving in (canary, promote):
        moving.add_argument("--unchecked", action="store_true", help="without a pass of the gate against the live one")
    rollback = verb("rollback", "let the release answer that was live before")
    rollback.add_argument("--tier", choices=TIERS, required=True)
    rollback.add_argument("--reason", required=True, help="kept with the release that is taken back")
    refuse = of_release("refuse", "take a release off its way: it has failed")
    refuse.add_argument("--reason", required=True, help="kept with the release")
