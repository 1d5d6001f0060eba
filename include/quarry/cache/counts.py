"""What became of the requests that a cache might have answered."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Plain counters of one process; whoever reports them reads them."""

    hits: int = 0
    misses: int = 0
    collapsed: int = 0
    """Of the misses, those that waited for an equal one to be computed."""
    skipped: int = 0
    """Asked without the cache: what is held was changing or has no name, or the caller wanted it so."""
    stored: int = 0
    unstored: int = 0
    """Computed and not kept, since what is held changed meanwhile."""
    checked: int = 0
    """Hits that were held against a search made just after."""
    stale: int = 0
    """Of those, hits that showed what is not held any more. Must stay 0."""
    failures: int = 0
    """Times that a shared cache did not answer, or not in time."""
    rests: int = 0
    """Times that it was not asked, because it had failed a moment before."""
