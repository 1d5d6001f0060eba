"""How much a reader takes at once: little and soon while little comes, more at a time while there is a backlog."""


class Pace:
    """The size of the next pull: twice the last one if that came back full, half of it if that was not half full.

    So one change alone is accepted as soon as it is there, and a backlog pays for a transaction once in `most` changes.
    `wait_s` is how long a pull may wait for the first change; it never waits for a second one.
    """

    def __init__(self, *, least: int = 16, most: int = 512, wait_s: float = 0.5) -> None:
        self._least = least
        self._most = most
        self.limit = least
        self.wait_s = wait_s

    def pulled(self, count: int) -> None:
        """A pull brought so many changes."""
        if count >= self.limit:
            self.limit = min(self.limit * 2, self._most)
        elif count < self.limit // 2:
            self.limit = max(self.limit // 2, self._least)
