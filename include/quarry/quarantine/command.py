"""`python -m include.quarry quarantine …`: what each verb does and prints."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from include.quarry.catalog.database import opened
from include.quarry.catalog.quarantine import KEPT_BYTES, Quarantined
from include.quarry.errors import Conflict, InvalidInput
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.quarantine.desk import QuarantineDesk
from include.quarry.settings import Settings

_DONE = frozenset({"applied", "superseded", "gone", "dropped"})


def run(options: argparse.Namespace, settings: Settings) -> bool:
    """Do what was asked for and print the outcome; false when something still cannot be read."""
    specs = load_feed_specs(Path(settings.feeds)) if settings.feeds else ()
    with opened(settings.catalog_url) as database:
        desk = QuarantineDesk(database, Ingestor(database, make_chunker, settings.max_document_bytes), specs)
        match options.verb:
            case "list":
                outcome: Any = [_fields(found) for found in desk.listing(options.corpus, options.tenant, options.limit)]
                lines = [_line(fields) for fields in outcome] or ["nothing is in quarantine"]
            case "show":
                outcome = _show(desk, options.handle, options.out)
                lines = [f"{name:<16}{value}" for name, value in outcome.items()]
            case _:
                act = desk.replay if options.verb == "replay" else desk.drop
                outcome = [act(handle) for handle in desk.chosen(options.handles, all=options.all)]
                lines = ["   ".join(filter(None, said.values())) for said in outcome] or ["nothing is in quarantine"]
    print(json.dumps(outcome, default=str, indent=2) if options.json else "\n".join(lines))
    return options.verb in ("list", "show") or all(said["outcome"] in _DONE for said in outcome)


def _show(desk: QuarantineDesk, handle: str, out: Path | None) -> dict[str, Any]:
    found, original = desk.show(handle)
    if out is not None:
        if original is None:
            raise Conflict(
                f"the original of {handle} was not kept: it has {found.size_bytes} bytes, and up to {KEPT_BYTES} are; "
                f"it came from {found.uri}"
            )
        try:
            out.write_bytes(original.content)
        except OSError as error:
            raise InvalidInput(f"{out} cannot be written ({error.strerror or error}); name another file") from error
    return _fields(found) | ({} if original is None else {"detail": dict(original.detail)})


def _fields(found: Quarantined) -> dict[str, Any]:
    """`key` in its parts, and the handle first."""
    fields = asdict(found)
    del fields["key"]
    return {"id": found.handle, **found.key._asdict(), **fields}


def _line(fields: dict[str, Any]) -> str:
    where = f"{fields['corpus']}/{fields['tenant']}/{fields['doc_id']}"
    size = f"{fields['size_bytes']} bytes" + ("" if fields["kept"] else ", not kept")
    return f"{fields['id']}  {fields['quarantined_at']:%Y-%m-%d %H:%M:%S}  {where}  {size}  {fields['reason']}"
