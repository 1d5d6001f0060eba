"""What an operator can do with the quarantine."""

from collections.abc import Sequence
from typing import Any

from include.quarry.catalog.database import Database
from include.quarry.catalog.quarantine import (
    Original,
    Quarantined,
    explain_anew,
    find_quarantined,
    forget_quarantined,
    list_quarantine,
    read_original,
)
from include.quarry.errors import Conflict, InvalidInput
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.quarantine.rereading import Specs, read_again


class QuarantineDesk:
    """Lists, shows, replays and drops what was set aside. Every verb is one transaction for each thing named."""

    def __init__(self, database: Database, ingestor: Ingestor, specs: Specs) -> None:
        """`specs` are the streams as they are described now; they say how to read a message."""
        self._database = database
        self._ingestor = ingestor
        self._specs = specs

    def listing(self, corpus: str | None, tenant: str | None, limit: int | None) -> list[Quarantined]:
        """What is set aside, newest first."""
        with self._database.read() as connection:
            return list_quarantine(connection, corpus, tenant, limit=limit)

    def show(self, handle: str) -> tuple[Quarantined, Original | None]:
        """One of them, with its original where that was kept. Raises `NotFound`."""
        with self._database.read() as connection:
            found = find_quarantined(connection, handle)
            return found, read_original(connection, found.key)

    def chosen(self, handles: Sequence[str], *, all: bool) -> list[str]:
        """The handles to go through: those named, or all, the oldest first."""
        return [found.handle for found in reversed(self.listing(None, None, None))] if all else list(handles)

    def replay(self, handle: str) -> dict[str, Any]:
        """Try it again; says how that ended. Raises `NotFound`."""
        found, original = self.show(handle)
        try:
            change = read_again(found, original, self._specs)
            outcome = self._nothing(found) if change is None else self._ingestor.replay(found, change)
        except InvalidInput as error:
            outcome = self._unreadable(found, f"{error.title}: {error}")
        except Conflict as error:
            return _said(found, "impossible", str(error))
        if outcome != "unreadable":
            return _said(found, outcome)
        return _said(found, outcome, self.show(handle)[0].reason)

    def drop(self, handle: str) -> dict[str, Any]:
        """Forget it. Raises `NotFound`."""
        with self._database.write() as connection:
            found = find_quarantined(connection, handle)
            forget_quarantined(connection, found.key)
        return _said(found, "dropped")

    def _nothing(self, found: Quarantined) -> str:
        with self._database.write() as connection:
            forget_quarantined(connection, found.key)
        return "applied"

    def _unreadable(self, found: Quarantined, reason: str) -> str:
        with self._database.write() as connection:
            explain_anew(connection, found.key, reason)
        return "unreadable"


def _said(found: Quarantined, outcome: str, reason: str = "") -> dict[str, Any]:
    return {"id": found.handle, "doc_id": found.key.doc_id, "outcome": outcome, "reason": reason}
