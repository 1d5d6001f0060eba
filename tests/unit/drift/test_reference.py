"""A reference comes back from disk as it was, and its held-out half is fair: no centroid was fitted to it."""

from pathlib import Path

import numpy as np
import pytest

from include.quarry.drift import reference as module
from include.quarry.drift.centroid_distance import document_distances
from include.quarry.drift.clustering import fit_centroids, nearest
from include.quarry.drift.reference import Reference
from include.quarry.errors import Conflict, IncompleteIndex, InvalidInput


def test_a_reference_comes_back_as_it_was(texts_of, topics_of, reference_of, tmp_path: Path) -> None:
    made = reference_of(texts_of(1, topics_of(1, 60)))
    made.save(tmp_path / "r")
    read = Reference.load(tmp_path / "r")
    for name in ("corpus", "tenant", "subject", "made_at", "documents", "chunks", "fingerprint"):
        assert getattr(read, name) == getattr(made, name), name
    for name in ("centroids", "counts", "radii", "held_out", "sentinels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name), err_msg=name)
    assert (read.sample.chunk_ids, read.sample.documents) == (made.sample.chunk_ids, made.sample.documents)
    np.testing.assert_array_equal(read.sample.values, made.sample.values)


def test_a_reference_is_never_overwritten_and_damage_is_noticed(texts_of, topics_of, reference_of, tmp_path) -> None:
    made = reference_of(texts_of(1, topics_of(1, 60)))
    made.save(tmp_path / "r")
    with pytest.raises(Conflict):
        made.save(tmp_path / "r")
    np.save(tmp_path / "r" / "centroids.npy", made.centroids * 2)
    with pytest.raises(IncompleteIndex, match=r"centroids\.npy"):
        Reference.load(tmp_path / "r")


def test_the_same_texts_and_seed_give_the_same_reference(texts_of, topics_of, reference_of) -> None:
    texts = texts_of(1, topics_of(1, 60))
    np.testing.assert_array_equal(reference_of(texts).centroids, reference_of(texts).centroids)
    assert reference_of(texts).sample.chunk_ids == reference_of(texts).sample.chunk_ids
    assert reference_of(texts).unfitted.documents != reference_of(texts, seed=1).unfitted.documents


def test_half_of_the_documents_is_held_out_whole(texts_of, topics_of, reference_of) -> None:
    made = reference_of(texts_of(1, topics_of(1, 61)))
    fitted = {name for name, held in zip(made.sample.documents, made.held_out, strict=True) if not held}
    held = set(made.unfitted.documents)
    assert (len(fitted), len(held)) == (30, 31)
    assert not fitted & held


def test_held_out_documents_are_as_far_as_new_ones_of_the_same_kind(texts_of, topics_of, reference_of) -> None:
    """The trap: those that centroids were fitted to lie nearer, and would make any window look far."""
    made = reference_of(texts_of(1, topics_of(1, 120)))
    fresh = document_distances(texts_of(2, topics_of(2, 300)), made).mean()
    held = document_distances(made.unfitted, made).mean()
    fitted = document_distances(made.sample.take(np.flatnonzero(~made.held_out)), made).mean()
    assert held == pytest.approx(fresh, rel=0.04)
    assert fitted < 0.97 * fresh


def test_a_large_corpus_gives_a_bounded_sample_that_no_centroid_was_fitted_to(
    texts_of, topics_of, reference_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SAMPLE", 400)
    made = reference_of(texts_of(1, topics_of(1, 900), chunks=(1, 6)))
    assert made.sample.document_count == 400
    assert len(made.sample) <= 1600
    assert made.held_out.all()
    assert (made.documents, made.counts.sum() > 900) == (900, True)


def test_one_document_is_too_little_to_remember(texts_of, reference_of) -> None:
    with pytest.raises(InvalidInput, match="has 1 documents"):
        reference_of(texts_of(1, [0]))


def test_centroids_find_clusters_and_radii_are_their_sizes(texts_of, topics_of, reference_of) -> None:
    points = np.array([[0, 0], [0, 0.2], [5, 5], [5, 5.2]], dtype=np.float32)
    centroids = fit_centroids(points, 2, seed=0)
    rows, distances = nearest(points, centroids)
    assert (rows[0] == rows[1], rows[2] == rows[3], rows[0] == rows[2]) == (True, True, False)
    np.testing.assert_allclose(distances, 0.1, atol=1e-3)
    made = reference_of(texts_of(1, topics_of(1, 60)))
    assert (np.diff(made.radii[made.counts > 0], axis=1) >= 0).all()
