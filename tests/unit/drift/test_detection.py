"""From vectors to verdict: the model first, then enough data, then the statistics."""

from dataclasses import replace

import numpy as np
import pytest

from include.quarry.drift.detection import detect
from include.quarry.drift.furthest import furthest
from include.quarry.drift.sentinels import SENTINELS, sentinels
from include.quarry.drift.verdict import State
from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Vectors

NEW = 9


def turned(reference, cosine: float) -> Vectors:
    """The reference's sentinels, the last of them turned away to this cosine."""
    values = reference.sentinels.copy()
    values[-1] = cosine * values[-1] + np.sqrt(1 - cosine**2) * np.roll(values[-1], 5)
    return Vectors(reference.fingerprint, values)


@pytest.fixture
def reference(texts_of, topics_of, reference_of):
    return reference_of(texts_of(1, topics_of(1, 150)))


def test_one_moved_sentinel_is_an_alarm_and_no_drift(reference, texts_of, window_of) -> None:
    state = State("watch")
    verdict = detect(reference, window_of(texts_of(2, [NEW] * 60)), turned(reference, 0.998), state, permutations=99)
    assert (verdict.outcome, verdict.state) == ("model_changed", state)
    assert "1 of 3 sentinel texts moved" in verdict.reasons[0]


def test_rounding_of_another_processor_is_no_alarm(reference, texts_of, topics_of, window_of) -> None:
    window = window_of(texts_of(2, topics_of(2, 60)))
    verdict = detect(reference, window, turned(reference, 0.9999), State(), permutations=99)
    assert verdict.outcome == "none"
    assert verdict.statistics[0].name == "sentinels"


def test_a_changed_model_is_noticed_even_in_an_empty_week(reference, texts_of, window_of) -> None:
    verdict = detect(reference, window_of(texts_of(2, [0])), turned(reference, 0.5), State())
    assert verdict.outcome == "model_changed"


def test_few_documents_are_too_few_however_many_chunks(reference, texts_of, window_of) -> None:
    window = window_of(texts_of(2, [NEW] * 5, chunks=(200, 200)))
    verdict = detect(reference, window, None, State("watch"))
    assert (verdict.outcome, verdict.state) == ("insufficient_data", State("watch"))
    assert "1000 chunks of 5 documents" in verdict.reasons[0]


def test_a_reference_of_few_documents_judges_nothing(texts_of, topics_of, reference_of, window_of) -> None:
    verdict = detect(reference_of(texts_of(1, [0] * 20)), window_of(texts_of(2, topics_of(2, 60))), None, State())
    assert verdict.outcome == "insufficient_data"
    assert "holds out 10 of 20" in verdict.reasons[0]


def test_vectors_of_another_space_are_refused(reference, texts_of, window_of) -> None:
    texts = texts_of(2, [0] * 60)
    foreign = replace(texts, vectors=Vectors("space-b", texts.values))
    with pytest.raises(ForeignVectors, match="space-b"):
        detect(reference, window_of(foreign), None, State())
    with pytest.raises(ForeignVectors, match="space-b"):
        sentinels(reference, Vectors("space-b", reference.sentinels))


def test_sentinels_of_another_number_are_refused(reference) -> None:
    with pytest.raises(InvalidInput, match="SENTINELS"):
        sentinels(reference, Vectors(reference.fingerprint, reference.sentinels[:2]))


def test_sentinels_cover_more_than_the_model_reads_and_are_all_different() -> None:
    assert len(set(SENTINELS)) == len(SENTINELS) >= 10
    assert max(len(text.split()) for text in SENTINELS) > 256


def test_the_furthest_documents_are_the_new_ones(reference, texts_of, topics_of, window_of) -> None:
    window = window_of(texts_of(2, [NEW] * 3 + topics_of(2, 60)))
    far = furthest(reference, window, 3)
    assert {one.document for one in far} == {"doc0", "doc1", "doc2"}
    assert far[0].distance >= far[1].distance >= far[2].distance
    assert far[0].reference_share_nearer == 1
