"""The digest of an index's contents."""

from hypothesis import given
from hypothesis import strategies as st

from include.quarry.retrieval.digest import digest

contents = st.lists(st.tuples(st.text(max_size=4), st.integers(1, 20)), max_size=8)


@given(contents, st.randoms())
def test_order_does_not_matter(pairs: list[tuple[str, int]], random) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert digest(shuffled) == digest(iter(pairs))


@given(
    st.sets(st.tuples(st.text(max_size=4), st.integers(1, 20))),
    st.sets(st.tuples(st.text(max_size=4), st.integers(1, 20))),
)
def test_differs_when_the_contents_differ(ours: set[tuple[str, int]], theirs: set[tuple[str, int]]) -> None:
    assert (digest(ours) == digest(theirs)) == (ours == theirs)


@given(st.tuples(st.text(), st.integers(1, 9)), contents)
def test_a_pair_held_twice_is_seen(pair: tuple[str, int], rest: list[tuple[str, int]]) -> None:
    assert len({digest(rest), digest([*rest, pair]), digest([*rest, pair, pair])}) == 3


def test_a_version_does_not_run_into_an_id() -> None:
    assert digest([("1:a", 2)]) != digest([("a", 21)])
    assert len(digest([])) == 64
