"""The remedy follows from the numbers."""

from dataclasses import replace

import numpy as np

from include.quarry.drift.detection import detect
from include.quarry.drift.remedy import CandidateGate, choose_remedy, query_remedy
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.verdict import State, insufficient_data, judge, model_changed

NEW, KNOWN = 9, 0


def test_a_changed_model_is_restored() -> None:
    moved = Statistic("sentinels", 0.1, 1e-3, None, "", {"moved": 1, "texts": 3})
    assert choose_remedy(model_changed(moved, State())).action == "restore_model"


def test_nothing_is_done_without_drift() -> None:
    assert choose_remedy(insufficient_data("", State())).action == "none"
    assert choose_remedy(judge([], State()), CandidateGate("x", 0.1, 0.05)).action == "none"


def test_mass_that_moved_between_known_regions_needs_new_centroids_only(texts_of, topics_of, reference_of, window_of):
    actions = []
    for seed in range(10, 20, 2):
        reference = reference_of(texts_of(seed, topics_of(seed, 200)))
        window = window_of(texts_of(seed + 1, [KNOWN] * 60 + topics_of(seed + 1, 30)))
        verdict = detect(reference, window, None, State())
        assert verdict.outcome == "drift"
        actions.append(choose_remedy(verdict).action)
    assert actions.count("refresh_centroids") >= 4


def test_known_things_in_other_words_call_for_a_look_at_the_source(texts_of, topics_of, reference_of, window_of):
    reference, texts = reference_of(texts_of(1, topics_of(1, 200))), texts_of(2, topics_of(2, 80))
    new_words = np.arange(90_000, 90_020, dtype=np.uint32)
    wrapped = replace(texts, words=tuple(np.union1d(words, new_words) for words in texts.words))
    verdict = detect(reference, window_of(wrapped), None, State())
    assert verdict.outcome == "drift"
    assert choose_remedy(verdict).action == "check_wording"


def test_drift_of_queries_gets_the_suite_renewed_and_builds_nothing(texts_of, topics_of, reference_of, window_of):
    reference = reference_of(texts_of(1, topics_of(1, 200)))
    verdict = detect(reference, window_of(texts_of(2, [NEW] * 40 + topics_of(2, 40))), None, State())
    remedy = query_remedy(verdict)
    assert remedy.action == "renew_suite"
    assert "% of the queries are about something new" in remedy.reason
    assert query_remedy(judge([], State())).action == "none"


def test_new_ground_needs_training_and_mostly_new_ground_a_look_at_the_model(
    texts_of, topics_of, reference_of, window_of
) -> None:
    reference = reference_of(texts_of(1, topics_of(1, 200)))
    some = detect(reference, window_of(texts_of(2, [NEW] * 20 + topics_of(2, 60))), None, State())
    most = detect(reference, window_of(texts_of(2, [NEW] * 60 + topics_of(2, 20))), None, State())
    assert choose_remedy(some).action == "retrain_index"
    assert choose_remedy(most).action == "try_embedding"
    assert "%" in choose_remedy(most).reason


def test_a_candidate_that_gates_better_is_named_and_one_that_may_be_luck_is_not(
    texts_of, topics_of, reference_of, window_of
) -> None:
    reference = reference_of(texts_of(1, topics_of(1, 200)))
    verdict = detect(reference, window_of(texts_of(2, [NEW] * 60 + topics_of(2, 20))), None, State())
    better = choose_remedy(verdict, CandidateGate("large-model", 0.04, 0.01))
    assert better.action == "change_embedding"
    assert "embedding model no longer fits: try spec large-model" in better.reason
    assert choose_remedy(verdict, CandidateGate("large-model", 0.04, -0.001)).action == "try_embedding"
