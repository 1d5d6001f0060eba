"""A stage on which threads act one at a time, in an order that a test chooses: every interleaving can be played."""

from collections.abc import Callable, Mapping
from random import Random
from threading import Condition, Thread, current_thread


class Stage:
    """Actors call `pause` before each step that others could see; `play` says who takes the next step."""

    def __init__(self, seed: int) -> None:
        """The seed decides who, of those who wait, takes each step."""
        self._random = Random(seed)
        self._change = Condition()
        self._waiting: list[str] = []
        self._alive: set[str] = set()
        self._chosen = ""

    def pause(self) -> None:
        actor = current_thread().name
        with self._change:
            self._waiting.append(actor)
            self._change.notify_all()
            self._change.wait_for(lambda: self._chosen == actor)
            self._chosen = ""

    def play(self, actors: Mapping[str, Callable[[], None]]) -> None:
        """Let all act until each is done; raises what the first of them raised."""
        raised: list[BaseException] = []
        self._alive = set(actors)
        threads = [Thread(target=self._act, args=(name, act, raised), name=name) for name, act in actors.items()]
        for thread in threads:
            thread.start()
        with self._change:
            while self._alive:
                self._change.wait_for(lambda: not self._chosen and len(self._waiting) == len(self._alive))
                if self._waiting:
                    self._chosen = self._random.choice(sorted(self._waiting))
                    self._waiting.remove(self._chosen)
                    self._change.notify_all()
        for thread in threads:
            thread.join()
        if raised:
            raise raised[0]

    def _act(self, name: str, act: Callable[[], None], raised: list[BaseException]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001, told by `play`
            raised.append(error)
        with self._change:
            self._alive.discard(name)
            self._change.notify_all()
