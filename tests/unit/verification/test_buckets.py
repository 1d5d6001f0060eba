"""Two sides that hold documents are told apart by sums, and what differs is named."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.records import DocumentKey
from include.quarry.verification.buckets import compare


def key(doc_id: str) -> DocumentKey:
    return DocumentKey("main", "red", doc_id)


@settings(deadline=None)
@given(
    left=st.dictionaries(st.text(max_size=3), st.sampled_from("123"), max_size=40),
    right=st.dictionaries(st.text(max_size=3), st.sampled_from("123"), max_size=40),
)
def test_buckets_find_exactly_what_differs(left: dict[str, str], right: dict[str, str]) -> None:
    found = compare(
        lambda: ((key(doc_id), version) for doc_id, version in left.items()),
        lambda: ((key(doc_id), version) for doc_id, version in right.items()),
    )
    expected = {doc_id for doc_id in left.keys() | right.keys() if left.get(doc_id) != right.get(doc_id)}
    assert {each.key.doc_id for each in found.differences} == expected
    assert (found.left, found.right) == (len(left), len(right))


def test_equal_sides_are_read_once_each() -> None:
    reads = []

    def side() -> Iterator[tuple[DocumentKey, str]]:
        reads.append(1)
        return ((key(str(number)), "1") for number in range(1000))

    assert compare(side, side).differences == ()
    assert len(reads) == 2
