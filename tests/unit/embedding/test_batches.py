from hypothesis import given
from hypothesis import strategies as st

from include.quarry.embedding.batches import MAX_BATCH_TOKENS, MAX_PADDING_TOKENS, bucket, pack

sequences = st.lists(st.integers(1, 512).map(lambda length: list(range(1, length + 1))), max_size=80)


@given(sequences)
def test_every_sequence_is_in_exactly_one_batch(given_sequences: list[list[int]]) -> None:
    rows = [row for batch in pack(given_sequences) for row in batch.rows]
    assert sorted(rows) == list(range(len(given_sequences)))


@given(sequences)
def test_a_row_holds_its_sequence_then_masked_padding(given_sequences: list[list[int]]) -> None:
    for batch in pack(given_sequences):
        for i, row in enumerate(batch.rows):
            length = len(given_sequences[row])
            assert batch.ids[i, :length].tolist() == given_sequences[row]
            assert batch.mask[i].tolist() == [1] * length + [0] * (batch.mask.shape[1] - length)
            assert not batch.ids[i, length:].any()


@given(sequences)
def test_batches_stay_within_their_bounds(given_sequences: list[list[int]]) -> None:
    for batch in pack(given_sequences):
        assert batch.ids.size <= MAX_BATCH_TOKENS
        alone = len(batch.rows) == 1
        assert alone or int((batch.mask == 0).sum()) <= MAX_PADDING_TOKENS


@given(st.integers(1, 512))
def test_a_bucket_holds_its_length_and_wastes_less_than_a_step(length: int) -> None:
    assert 0 <= bucket(length) - length < 16
    assert bucket(bucket(length)) == bucket(length)


def test_lengths_up_to_the_limit_share_few_widths() -> None:
    assert len({bucket(length) for length in range(1, 257)}) <= 24


def test_queries_of_like_length_share_one_batch() -> None:
    assert len(list(pack([[1] * length for length in (9, 10, 11, 12, 10, 9, 12, 11)]))) == 1
