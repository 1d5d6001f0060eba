"""Documents that change all the time, and a judge who knows what each was at every point of the log.

The judge needs nothing of what the cache relies on. Whoever answers says up to which `seq` it had applied the log when
it was asked (the watermark): every change up to there must show, later ones may. And what a replica has shown once, an
answer of that replica to a later question must not take back: that holds of documents applied ahead of the watermark.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from include.quarry.catalog.database import Database
from include.quarry.embedding.protocol import Embedder
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.backfill import embed_unit, plan_units
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.specs import IndexSpec

TENANTS = ("red", "blue")
STONES = tuple(f"stone-{number}" for number in range(8))
QUESTIONS = tuple(f"which colour has {stone}" for stone in STONES)
_COLOURS = tuple(f"{shade} {hue}" for shade in ("dark", "pale") for hue in ("grey", "green", "brown", "violet"))
_DELETED = ""
Named = tuple[str, str]
"""Tenant and document."""


class State(NamedTuple):
    """What a document said from a change on; nothing when that deleted it."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer showed of one document. `began` and `ended` order the answers of a replica among each other;
    `changes` is how many changes of the document were known when it had come."""

    named: Named
    watermark: int
    text: str
    changes: int
    replica: int
    began: int
    ended: int


@dataclass
class Stones:
    """Some stones of two tenants. `change` belongs to one thread, everything else to any."""

    database: Database
    lake: VectorLake
    spec: IndexSpec
    embedder: Embedder
    seed: int = 0
    history: dict[Named, list[State]] = field(default_factory=lambda: defaultdict(lambda: [State(0, _DELETED)]))

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._ingestor = Ingestor(self.database, make_chunker, 10**6)
        self._ticks = count()
        self.changes = 0

    def fill(self) -> None:
        """Every stone of every tenant, with its vectors."""
        for tenant in TENANTS:
            for stone in STONES:
                self._put((tenant, stone), self._text(stone))
        self.embed()

    def change(self) -> None:
        """A stone takes a colour, one that it had before at times, or is gone; what is new waits for its vector until
        some later change."""
        named = self._dice.choice(TENANTS), self._dice.choice(STONES)
        if self._dice.random() < 0.25:
            self._delete(named)
        else:
            self._put(named, self._text(named[1], new=self._dice.random() < 0.15))
        if self._dice.random() < 0.2:
            self.embed()
        self.changes += 1

    def change_until(self, ended: threading.Event, pause_s: float) -> None:
        """Change one after the other."""
        while not ended.wait(pause_s):
            self.change()

    def embed(self) -> None:
        """Vectors for what waits."""
        window = PendingQuery("main", self.spec.chunker.fingerprint, self.spec.embedding.fingerprint)
        with self.database.read() as connection:
            units = list(plan_units(pending_texts(connection, window), 8))
        for unit in units:
            embed_unit(unit, self.database, self.lake, self.embedder, "stones")

    def tick(self) -> int:
        """A number for the moment at which a question is asked."""
        return next(self._ticks)

    def shown(self, named: Named, watermark: int, text: str, *, began: int, replica: int = 0) -> Shown:
        """What an answer that has just come showed; to be judged when all is over. The change that is being accepted
        may show before it is known here."""
        known = len(self.history[named]) + 1
        return Shown(named, watermark, text, known, replica, began, self.tick())

    def stale(self, answers: Iterable[Shown]) -> list[Shown]:
        """Those that showed a document as it no longer was: at their watermark, or for their replica."""
        moments = [(each.began, False, each) for each in answers]
        moments += [(each.ended, True, each) for *_, each in moments]
        seen: defaultdict[tuple[int, Named], int] = defaultdict(int)
        at_least: dict[int, int] = {}
        stale = []
        for _, is_end, each in sorted(moments, key=lambda moment: moment[0]):
            of = each.replica, each.named
            if not is_end:
                at_least[id(each)] = max(seen[of], self._at(each))
                continue
            states = self.history[each.named][at_least[id(each)] : each.changes]
            place = next((place for place, state in enumerate(states) if state.text == each.text), None)
            if place is None:
                stale.append(each)
            else:
                seen[of] = max(seen[of], at_least[id(each)] + place)
        return stale

    def _at(self, shown: Shown) -> int:
        """The place in a document's history of the state at a watermark."""
        states = self.history[shown.named]
        return max(place for place, state in enumerate(states) if state.seq <= shown.watermark)

    def _text(self, stone: str, *, new: bool = False) -> str:
        colour = f"hue number {self.changes}" if new else self._dice.choice(_COLOURS)
        return f"The colour of {stone} is {colour}."

    def _put(self, named: Named, text: str) -> None:
        key = DocumentKey("main", *named)
        accepted = self._ingestor.upsert(RawDocument(key, f"file:///{named[1]}", text.encode(), "text/plain"), "http")
        if accepted.changed:
            self.history[named].append(State(accepted.seq, text))

    def _delete(self, named: Named) -> None:
        accepted = self._ingestor.delete(DocumentKey("main", *named), "http")
        if accepted is not None and accepted.changed:
            self.history[named].append(State(accepted.seq, _DELETED))
