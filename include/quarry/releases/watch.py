"""Which releases the tiers would answer by, for those who ask the tiers: their replicas may be in other processes."""

import logging
import threading
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from include.quarry.catalog.database import Database
from include.quarry.catalog.generation_routes import ReleaseRoute, list_release_routes
from include.quarry.errors import QuarryError
from include.quarry.generation.protocol import DEFAULT_RELEASE, TIERS, Origin, Tier
from include.quarry.routing.choice import choose_release

logger = logging.getLogger(__name__)
_LOOK_S = 0.2
_LOOK_AGAIN_S = 1.0


class ReleaseWatch:
    """The routes of all tiers, never more than a moment old while the catalog answers."""

    def __init__(
        self, database: Database, absence_of: Callable[[Tier], str], defaults: Mapping[Tier, Origin] | None = None
    ) -> None:
        """`absence_of` tells why the settings' own model of a tier is not there, if so; `defaults` what it is."""
        self._database = database
        self._absence_of = absence_of
        self._defaults = {tier: str(origin) for tier, origin in (defaults or {}).items()}
        self._routes: Mapping[Tier, ReleaseRoute] = {tier: ReleaseRoute(tier) for tier in TIERS}
        self._thread = threading.Thread(target=self._watch, name="release-routes", daemon=True)

    def start(self) -> None:
        """Begin to watch, until the process ends."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the routes are still watched; a bug ends that."""
        return self._thread.is_alive()

    def absence_of(self, tier: Tier) -> str:
        """Why a tier has no model, to be read after its name; empty where it has one. Never blocks."""
        return self._absence_of(tier) if self._routes[tier].live_release == DEFAULT_RELEASE else ""

    def maker(self, tier: Tier, tenant: str, question: str) -> str:
        """Who would answer this, as the text of an `Origin` has it, or why nobody would. Never blocks."""
        if absence := self.absence_of(tier):
            return absence
        release_id = choose_release(self._routes[tier], tenant, question)
        return self._defaults[tier] if release_id == DEFAULT_RELEASE else release_id

    def look(self) -> None:
        """Read the routes now."""
        with self._database.read() as connection:
            self._routes = list_release_routes(connection)

    def _watch(self) -> None:
        pause, pause_s = threading.Event(), 0.0
        while not pause.wait(pause_s):
            try:
                self.look()
                pause_s = _LOOK_S
            except (QuarryError, SQLAlchemyError, OSError):
                logger.exception("the routes of the tiers cannot be watched; trying again")
                pause_s = _LOOK_AGAIN_S
