"""A worker on notice finishes what it has in hand, takes nothing else, and leaves."""

import threading

from ray_apps.jobs.departure import Departure

PATIENCE_S = 10.0


class Node:
    """A node that is told to go, and a worker on it that leaves."""

    def __init__(self) -> None:
        self.notice = threading.Event()
        self.asked_after_notice = threading.Event()
        self.left = threading.Event()
        self.departure = Departure(self.is_due, self.left.set, every_s=0.001)
        self.departure.watch()

    def is_due(self) -> bool:
        due = self.notice.is_set()
        if due:
            self.asked_after_notice.set()
        return due


def test_without_a_notice_units_come_and_go() -> None:
    node = Node()
    for _ in range(3):
        with node.departure.unit(), node.departure.unit():
            pass
    assert not node.left.is_set()


def test_a_worker_leaves_only_when_every_unit_in_hand_is_finished() -> None:
    node = Node()
    with node.departure.unit():
        with node.departure.unit():
            node.notice.set()
            assert node.asked_after_notice.wait(PATIENCE_S)
        assert not node.left.is_set()
    assert node.left.wait(PATIENCE_S)


def test_a_unit_that_comes_after_the_notice_is_never_begun() -> None:
    node, begun = Node(), threading.Event()

    def take() -> None:
        with node.departure.unit():
            begun.set()

    node.notice.set()
    assert node.left.wait(PATIENCE_S)
    late = threading.Thread(target=take, daemon=True)
    late.start()
    late.join(0.05)
    assert late.is_alive()
    assert not begun.is_set()
