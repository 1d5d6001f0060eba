"""Those of one class who wait for a tier, in the order of their turns: fair between tenants, urgent ones first.

Every tenant is in some round; whoever is served enters its next one. The tenant in the lowest round goes first, and
among those in the same round the one whose request is due the earliest. A tenant that comes anew, or back after a
pause, enters the present round: it neither saved turns up nor owes any. Only so many enter one round, and the others
later ones, or else ever new tenants could keep one that waits in the next round from its turn. This is start-time fair
queueing (Goyal, Vin and Cheng, 1996) with every request of cost one, and earliest deadline first among equals.
"""

from bisect import insort
from typing import Generic, Protocol, TypeVar

from include.quarry.errors import Full

NEWCOMERS = 16
"""Tenants that may enter the present round while it lasts; as many more enter the next one, and so on."""


class Waiting(Protocol):
    """Who waits: for which tenant, and the moment `due_s` (monotonic clock) after which the turn is of no use."""

    @property
    def tenant(self) -> str:
        """Whose turn it is to be."""
        ...

    @property
    def due_s(self) -> float:
        """When the waiting ends."""
        ...


Who = TypeVar("Who", bound=Waiting)


class Line(Generic[Who]):
    """At most `places` wait; a line in which nobody does is false."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: dict[str, list[Who]] = {}
        self._rounds: dict[str, int] = {}
        self._round = 0
        self._newcomers = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def first(self) -> Who:
        """Whose turn it is. Raises `ValueError` when nobody waits."""
        tenant = min(self._waiting, key=lambda each: (self._rounds[each], self._waiting[each][0].due_s))
        return self._waiting[tenant][0]

    def add(self, who: Who) -> Who | None:
        """Let `who` wait. When all places are taken, the tenant with the most of them gives up its last one.

        Returns who lost a place so. Raises `Full` when no tenant has more than the newcomer's would have with one more:
        a tenant that asks for less than its share of the places is never refused.
        """
        loser = self._loser_to(who.tenant) if len(self) >= self._places else None
        if loser is not None:
            self.remove(loser)
        if self._rounds.get(who.tenant, -1) <= self._round and who.tenant not in self._waiting:
            self._rounds[who.tenant] = self._round + self._newcomers // NEWCOMERS
            self._newcomers += 1
        insort(self._waiting.setdefault(who.tenant, []), who, key=lambda each: each.due_s)
        return loser

    def remove(self, who: Who) -> None:
        """Take someone out who waits no more, unless that was done."""
        mine = self._waiting.get(who.tenant, [])
        if who in mine:
            mine.remove(who)
        if not mine:
            self._waiting.pop(who.tenant, None)

    def serve(self, tenant: str) -> None:
        """Count a turn of the tenant: of one just taken out, or of one that did not have to wait."""
        number = self._rounds.get(tenant, self._round)
        self._rounds[tenant] = number + 1
        if number > self._round:
            self._round, self._newcomers = number, 0
        # Who is behind the present round enters it anyhow: only those ahead, and those who wait, are remembered.
        self._rounds = {
            each: ahead for each, ahead in self._rounds.items() if ahead > self._round or each in self._waiting
        }

    def _loser_to(self, tenant: str) -> Who:
        most = max(self._waiting.values(), key=lambda mine: (len(mine), mine[-1].due_s), default=[])
        if len(most) < len(self._waiting.get(tenant, ())) + 2:
            raise Full(f"all {self._places} places of this class are taken; try again shortly, or ask with less haste")
        return most[-1]
