"""A window names the document of every vector, and a sample of it is bounded by documents and by chunks of each."""

from collections import Counter

import numpy as np
import pytest

from include.quarry.drift.documents import document_means
from include.quarry.drift.window import Embedded, check_space
from include.quarry.drift.words import words_of
from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Vectors


def test_a_row_has_one_vector_one_id_one_document_and_one_set_of_words() -> None:
    with pytest.raises(InvalidInput, match="2 vectors, 2 chunk ids, 1 documents and 2 sets of words"):
        Embedded(Vectors("s", np.eye(2, dtype=np.float32)), ("a", "b"), ("d",), (words_of("a"), words_of("b")))


def test_a_sample_is_bounded_and_keeps_rows_together(texts_of) -> None:
    texts = texts_of(1, [0] * 30, chunks=(1, 9))
    some = texts.sampled(5, documents=10, chunks=3)
    sizes = Counter(texts.documents)
    assert Counter(some.documents) == {name: min(3, sizes[name]) for name in set(some.documents)}
    assert some.document_count == 10
    rows = {chunk_id: row for row, chunk_id in enumerate(texts.chunk_ids)}
    for row, chunk_id in enumerate(some.chunk_ids):
        assert texts.documents[rows[chunk_id]] == some.documents[row]
        np.testing.assert_array_equal(texts.values[rows[chunk_id]], some.values[row])
        np.testing.assert_array_equal(texts.words[rows[chunk_id]], some.words[row])


def test_a_sample_follows_its_seed(texts_of) -> None:
    texts = texts_of(1, [0] * 30)
    assert texts.sampled(5, documents=10).chunk_ids == texts.sampled(5, documents=10).chunk_ids
    assert texts.sampled(5, documents=10).chunk_ids != texts.sampled(6, documents=10).chunk_ids


def test_a_small_window_is_its_own_sample(texts_of) -> None:
    texts = texts_of(1, [0] * 5, chunks=(1, 3))
    assert sorted(texts.sampled(0).chunk_ids) == sorted(texts.chunk_ids)


def test_vectors_of_another_space_are_refused(texts_of) -> None:
    with pytest.raises(ForeignVectors, match=r"space-a.*space-b"):
        check_space("space-b", texts_of(1, [0]))


def test_means_are_taken_by_document_in_the_order_of_names() -> None:
    values = np.array([[1, 0], [9, 9], [3, 0]], dtype=np.float32)
    np.testing.assert_array_equal(document_means(values, ["b", "a", "b"]), [[9, 9], [2, 0]])
