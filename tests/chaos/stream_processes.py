"""The readers of streams, each a process that may be killed at any moment, or kills itself at a named point."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.opening import open_change_feed
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.stream import Stream
from include.quarry.settings import Settings

_MAX_BYTES = 10**6
POINTS = ("before commit", "after commit", "after the source was told", "after a pull")


def read_topic(home: Path) -> None:
    """Read the topic until killed."""
    _read(home, 0)


def read_table(home: Path) -> None:
    """Read the table until killed."""
    _read(home, 1)


def read_subscription(home: Path, server: str) -> None:
    """Read the subscription until killed."""
    os.environ["PUBSUB_EMULATOR_HOST"] = server
    _read(home, 0)


def _read(home: Path, which: int) -> None:
    settings = Settings(home=home, feeds=str(home / "feeds.yaml"))
    spec = load_feed_specs(Path(settings.feeds))[which]
    database = Database(settings.catalog_url)
    feed = open_change_feed(spec, database, _MAX_BYTES)
    point = home / f"point-{spec.kind}"
    if point.exists():
        _arm(point.read_text(), feed)
        point.unlink()
    Stream(feed, Ingestor(database, make_chunker, _MAX_BYTES), database, Pace(least=4, most=64, wait_s=0.1)).run()


def _arm(point: str, feed: Any) -> None:
    """Die at a point the second time that it is reached."""
    left = iter((False, True))

    def die() -> None:
        if next(left, True):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    write = Database.write

    @contextmanager
    def writing(database: Database, *, in_turn: bool = True) -> Iterator[sa.Connection]:
        with write(database, in_turn=in_turn) as connection:
            yield connection
            if point == "before commit":
                die()
        if point == "after commit":
            die()

    Database.write = writing  # type: ignore[method-assign]
    if point == "after the source was told":
        feed.accepted = _then(feed.accepted, die)
    if point == "after a pull":
        pull = feed.pull

        def pulling(*arguments: Any, **more: Any) -> Any:
            found = pull(*arguments, **more)
            if found:
                die()
            return found

        feed.pull = pulling


def _then(call: Callable[..., None], die: Callable[[], None]) -> Callable[..., None]:
    def both(*arguments: Any) -> None:
        call(*arguments)
        die()

    return both
