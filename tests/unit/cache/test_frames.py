"""Frames: what does not read as the value of this very key is no value."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from include.quarry.cache.frames import framed, unframed
from include.quarry.cache.keys import key_of

KEY = key_of("a")
texts = st.binary(max_size=300) | st.binary(min_size=1, max_size=20).map(lambda some: some * 400)


@given(value=texts)
def test_a_value_comes_back_whole(value: bytes) -> None:
    assert unframed(KEY, framed(KEY, value)) == value


def test_long_values_shrink_where_they_can() -> None:
    assert len(framed(KEY, b"passage " * 1000)) < 500
    assert len(framed(KEY, b"short")) < 40


@given(value=texts, data=st.data())
def test_a_frame_with_one_byte_changed_or_cut_off_holds_no_value(value: bytes, data: st.DataObject) -> None:
    frame = framed(KEY, value)
    place = data.draw(st.integers(0, len(frame) - 1))
    changed = bytearray(frame)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert unframed(KEY, bytes(changed)) in (None, *({value} if bytes(changed) == frame else ()))
    assert unframed(KEY, frame[:place]) is None


@given(frame=st.binary(max_size=200))
def test_a_strangers_bytes_hold_no_value(frame: bytes) -> None:
    assert unframed(KEY, frame) is None
    assert unframed(KEY, b"QC1z" + frame) is None


def test_the_answer_to_another_question_is_no_answer() -> None:
    assert unframed(KEY, framed(key_of("b"), b"of b")) is None


def test_a_few_bytes_that_stand_for_a_great_many_hold_no_value() -> None:
    body = bytes.fromhex(KEY[:32]) + zlib.compress(bytes(65 * 2**20), 9)
    assert unframed(KEY, b"QC1z" + zlib.crc32(body).to_bytes(4) + body) is None


@given(
    one=st.lists(st.text(max_size=5), max_size=4),
    other=st.lists(st.text(max_size=5), max_size=4),
)
def test_keys_are_equal_exactly_for_equal_parts(one: list[str], other: list[str]) -> None:
    assert (key_of(*one) == key_of(*other)) == (one == other)


def test_a_key_shows_nothing_of_its_parts() -> None:
    assert key_of("who", "\ud800 asked") != key_of("who", "? asked")
    assert len(key_of("who")) == 64
    assert not {"who", "asked"} & set(key_of("who", "asked"))
