"""`python -m include.quarry verify`: what it does and prints."""

import argparse
from pathlib import Path

from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.settings import Settings
from include.quarry.verification.sources import open_source
from include.quarry.verification.verify import verify


def run(options: argparse.Namespace, settings: Settings) -> bool:
    """Compare, and print each comparison as a line; false when something differs. Raises `NotFound` for no source."""
    source = None
    if options.against is not None:
        source = open_source(
            options.against,
            load_feed_specs(Path(settings.feeds)) if settings.feeds else (),
            corpus=options.corpus,
            tenant=options.tenant,
            max_bytes=settings.max_document_bytes,
        )
    findings = verify(settings, source, patience_s=options.patience)
    print("\n".join(line for finding in findings for line in finding.lines) or "there is nothing to compare yet")
    return all(finding.equal for finding in findings)
