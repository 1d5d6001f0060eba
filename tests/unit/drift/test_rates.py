"""What the detector is for, in small: few false alarms on unchanged content, and a fifth that is new is found."""

from collections.abc import Callable

import pytest

from include.quarry.drift.detection import detect
from include.quarry.drift.verdict import State

NEW, KNOWN = 9, 0
REFERENCE, WINDOW = 150, 80


@pytest.fixture
def levels_of(texts_of, topics_of, reference_of, window_of) -> Callable[..., list[str]]:
    def judge_windows(shifted: list[int], rounds: int, chunks: tuple[int, int] = (1, 8)) -> list[str]:
        found = []
        for seed in range(rounds):
            reference = reference_of(texts_of(2 * seed, topics_of(2 * seed, REFERENCE), chunks=chunks), seed=seed)
            topics = topics_of(2 * seed + 1, WINDOW - len(shifted)) + shifted
            window = window_of(texts_of(2 * seed + 1, topics, chunks=chunks))
            found.append(detect(reference, window, None, State(), permutations=499, seed=seed).level)
        return found

    return judge_windows


@pytest.mark.parametrize("chunks", [(1, 1), (1, 8), (1, 60)], ids=["single", "short", "long documents"])
def test_unchanged_content_rarely_alarms_however_many_chunks_a_document_has(levels_of, chunks) -> None:
    """40 windows at 5 %: more than 5 alarms would come with a chance of 1 %, so the seeds are fixed."""
    found = levels_of([], 40, chunks)
    assert 40 - found.count("calm") <= 5
    assert found.count("overwhelming") <= 2


def test_a_new_topic_in_a_fifth_of_one_window_is_found(levels_of) -> None:
    found = levels_of([NEW] * (WINDOW // 5), 20)
    assert found.count("overwhelming") >= 18


def test_a_known_topic_that_takes_two_fifths_more_of_the_window_is_found(levels_of) -> None:
    found = levels_of([KNOWN] * (2 * WINDOW // 5), 20)
    assert 20 - found.count("calm") >= 18
